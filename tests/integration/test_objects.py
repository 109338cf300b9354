from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

from schemas.addresses import objects_address
from schemas.errors import Misconfigured, Unavailable
from workers.objects import open_objects

LARGE = os.urandom(1024) * 12 * 1024  # larger than two parts


def a_file(directory: Path, content: bytes) -> Path:
    file = directory / "scratch"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("content", [b"", b"RIFF", LARGE], ids=["empty", "small", "12 MiB"])
async def test_a_file_is_stored_below_the_directory(tmp_path: Path, content: bytes) -> None:
    root = tmp_path / "new" / "objects"
    await open_objects(objects_address(f"file:{root}")).put("huawei-bj/2026/11/21/k.wav", a_file(tmp_path, content))
    target = root / "huawei-bj/2026/11/21/k.wav"
    assert target.read_bytes() == content
    assert (target.stat().st_mode & 0o777, root.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [path.name for path in target.parent.iterdir()] == ["k.wav"]


async def test_doing_it_twice_overwrites_the_same_object(tmp_path: Path) -> None:
    objects = open_objects(objects_address(f"file:{tmp_path / 'objects'}"))
    for content in (b"first, longer", b"second", b"second"):
        await objects.put("a/k.wav", a_file(tmp_path, content))
    assert (tmp_path / "objects/a/k.wav").read_bytes() == b"second"


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


async def test_a_place_cannot_leave_the_directory(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="path"):
        await open_objects(objects_address(f"file:{tmp_path / 'objects'}")).put("../k.wav", a_file(tmp_path, b"x"))
    assert not (tmp_path / "k.wav").exists()


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


@dataclass
class Bucket:
    """Takes what our S3 client sends; it checks no signature, so it is not proof that S3 does."""

    server: BaseTestServer = field(init=False)
    objects: dict[str, bytes] = field(default_factory=dict)
    signed: list[str] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.objects[request.path] = await request.read()
        self.signed.append(request.headers.get("Authorization", ""))
        return web.Response(headers={"ETag": '"1"'})

    @property
    def url(self) -> str:
        return f"s3://calls/some/prefix?endpoint=http://127.0.0.1:{self.server.port}&region=cn-north-4"


@pytest.fixture
async def bucket(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bucket]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-key-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret")
    played = Bucket()
    app = web.Application()
    app.router.add_put("/{tail:.*}", played.take)
    async with TestServer(app) as played.server:
        yield played


async def test_a_bucket_by_endpoint_gets_a_signed_put(bucket: Bucket, tmp_path: Path) -> None:
    await open_objects(objects_address(bucket.url)).put("huawei-bj/k.wav", a_file(tmp_path, b"RIFF"))
    assert bucket.objects == {"/calls/some/prefix/huawei-bj/k.wav": b"RIFF"}
    assert bucket.signed[0].startswith("AWS4-HMAC-SHA256 Credential=the-key-id/")
    assert "/cn-north-4/s3/" in bucket.signed[0]


async def test_a_bucket_that_is_away_is_unavailable(bucket: Bucket, tmp_path: Path) -> None:
    objects = open_objects(objects_address(bucket.url))
    await bucket.server.close()
    with pytest.raises(Unavailable) as away:
        await objects.put("k.wav", a_file(tmp_path, b"RIFF"))
    assert "127.0.0.1" not in str(away.value)
