from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.errors import Misconfigured, Unavailable
from schemas.settings.addresses import objects_address
from tests.services.bucket import KEYS, Bucket, a_bucket
from workers.objects import open_objects
from workers.objects.bucket import CHUNK_BYTES

LARGE = os.urandom(1024) * 12 * 1024  # larger than two parts


def a_file(directory: Path, content: bytes) -> Path:
    file = directory / "scratch"
    file.write_bytes(content)
    return file


async def test_files_and_directories_are_for_our_user_only(tmp_path: Path) -> None:
    root = tmp_path / "new" / "objects"
    await open_objects(objects_address(f"file:{root}")).put("huawei-bj/2026/11/21/k.wav", a_file(tmp_path, b"RIFF"))
    target = root / "huawei-bj/2026/11/21/k.wav"
    assert (target.stat().st_mode & 0o777, root.stat().st_mode & 0o777) == (0o600, 0o700)


async def test_file_and_directories_are_fsynced_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    fsync = os.fsync

    def watched(fd: int) -> None:
        fsync(fd)
        synced.add(os.fstat(fd).st_ino)

    monkeypatch.setattr(os, "fsync", watched)
    await open_objects(objects_address(f"file:{tmp_path / 'objects'}")).put("a/b/k.wav", a_file(tmp_path, b"x"))
    made = [tmp_path / "objects" / part for part in ("", "a", "a/b", "a/b/k.wav")]
    assert {path.stat().st_ino for path in made} <= synced


async def test_a_directory_path_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    await open_objects(objects_address("file:var/recordings")).put("k.wav", a_file(tmp_path, b"x"))
    assert (tmp_path / "var/recordings/k.wav").read_bytes() == b"x"


async def test_a_disk_that_does_not_take_it_is_unavailable(tmp_path: Path) -> None:
    objects = open_objects(objects_address(f"file:{tmp_path / 'objects'}"))
    (tmp_path / "objects" / "a").write_text("a file where a folder must be")
    with pytest.raises(Unavailable):
        await objects.put("a/k.wav", a_file(tmp_path, b"x"))


@pytest.mark.parametrize(
    "url",
    [
        "file:/proc/version/x",
        "s3://",
        "s3://key:secret@bucket/x",
        "s3://bucket/x?secret_access_key=y",
        "s3://bucket/x?style=odd",
    ],
)
def test_what_is_no_object_store_is_the_operators_to_mend(url: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        open_objects(objects_address(url))
    assert "secret@" not in str(refused.value)


@pytest.fixture
async def bucket(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bucket]:
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    async with a_bucket() as bucket:
        yield bucket


async def test_a_large_file_goes_to_a_bucket_in_parts_that_bound_our_memory(bucket: Bucket, tmp_path: Path) -> None:
    await open_objects(objects_address(bucket.url)).put("k.wav", a_file(tmp_path, LARGE))
    assert bucket.objects == {"k.wav": LARGE}
    assert bucket.largest == CHUNK_BYTES


async def test_a_bucket_that_does_not_know_our_keys_is_unavailable(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(Unavailable):
        await open_objects(objects_address(bucket.url)).put("k.wav", a_file(tmp_path, b"RIFF"))
    assert bucket.objects == {}


async def test_a_bucket_whose_server_is_gone_is_unavailable(bucket: Bucket, tmp_path: Path) -> None:
    objects = open_objects(objects_address(bucket.url))
    await bucket.server.close()
    with pytest.raises(Unavailable) as away:
        await objects.put("k.wav", a_file(tmp_path, b"RIFF"))
    assert "127.0.0.1" not in str(away.value)
