"""What both object stores promise (`ObjectStore` in workers/fetch_recording.py).

The bucket is a stand-in (tests/services/bucket.py): it checks signatures, and it is no proof of what S3 itself does.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Protocol
from unittest import mock

import pytest

from schemas.errors import Unavailable
from schemas.settings.addresses import objects_address
from tests.services.bucket import KEYS, Bucket, a_bucket
from tests.services.full_disk import a_disk_that_holds
from workers.objects import open_objects
from workers.objects.bucket import BucketObjects
from workers.objects.directory import DirectoryObjects

PLACE: Final = "huawei-bj/2026/11/21/k.wav"
NUMBER: Final = "13800000021"
LARGE: Final = os.urandom(1024) * 12 * 1024  # more than two parts
ODD_NAMES: Final = ("a b/ü 录音.wav", "k+1&x=y#z?.wav", "100%25.wav", "'\"`$(x)*[]{}|~.wav", ".hidden", "a" * 200)


class ObjectsRig(Protocol):
    """One kind of object store, with a place of this test's own."""

    @property
    def objects(self) -> DirectoryObjects | BucketObjects: ...

    @property
    def says(self) -> str: ...

    def stored(self) -> Mapping[str, bytes]:
        """All that can be seen there, by name."""
        ...

    def away(self) -> AbstractContextManager[None]:
        """The store takes nothing at all."""
        ...

    def full(self) -> AbstractContextManager[None]:
        """The store takes the beginning of what is large, and then no more."""
        ...


@dataclass(frozen=True)
class DirectoryRig:
    says: ClassVar[str] = "File too large"  # a limit of the process, in the words of the system

    objects: DirectoryObjects | BucketObjects
    root: Path

    def stored(self) -> Mapping[str, bytes]:
        files = [path for path in self.root.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}

    @contextmanager
    def away(self) -> Iterator[None]:
        """A file where its directories must be."""
        kept = self.root.with_name("kept")
        self.root.rename(kept)
        self.root.write_text("")
        yield
        self.root.unlink()
        kept.rename(self.root)

    def full(self) -> AbstractContextManager[None]:
        return a_disk_that_holds(6 * 1024 * 1024)


@dataclass(frozen=True)
class BucketRig:
    says: ClassVar[str] = "403 Forbidden(, [A-Za-z]+)?"

    objects: DirectoryObjects | BucketObjects
    bucket: Bucket

    def stored(self) -> Mapping[str, bytes]:
        return self.bucket.objects

    @contextmanager
    def away(self) -> Iterator[None]:
        """It answers as one that we have no rights to: what is tried again takes the seconds that its client waits."""
        with mock.patch.object(self.bucket, "refusal", 403):
            yield

    @contextmanager
    def full(self) -> Iterator[None]:
        with mock.patch.multiple(self.bucket, refusal=403, takes=2):
            yield


@pytest.fixture(params=["directory", "bucket"])
async def rig(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ObjectsRig]:
    if request.param == "directory":
        root = tmp_path / "new" / "objects"
        yield DirectoryRig(open_objects(objects_address(f"file:{root}")), root)
        return
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    async with a_bucket() as bucket:
        yield BucketRig(open_objects(objects_address(bucket.url)), bucket)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / f"call-of-{NUMBER}.wav"


async def put(rig: ObjectsRig, place: str, content: bytes, scratch: Path) -> None:
    await rig.objects.put(place, a_file(scratch, content))


def a_file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", [b"", b"RIFF", LARGE], ids=["empty", "small", "12 MiB"])
async def test_what_was_put_is_there_byte_for_byte(rig: ObjectsRig, scratch: Path, content: bytes) -> None:
    await put(rig, PLACE, content, scratch)
    assert rig.stored() == {PLACE: content}


async def test_doing_it_twice_is_doing_it_once(rig: ObjectsRig, scratch: Path) -> None:
    for content in (b"first, longer", b"second", b"second"):
        await put(rig, PLACE, content, scratch)
    assert rig.stored() == {PLACE: b"second"}


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_any_name_is_the_name_it_has_there(rig: ObjectsRig, scratch: Path, name: str) -> None:
    await put(rig, name, b"RIFF", scratch)
    assert rig.stored() == {name: b"RIFF"}


@pytest.mark.parametrize("place", ["../k.wav", "a/../../k.wav"])
async def test_no_name_leaves_the_store(rig: ObjectsRig, scratch: Path, place: str) -> None:
    with pytest.raises(ValueError, match="path"):
        await put(rig, place, b"RIFF", scratch)
    assert rig.stored() == {}
    assert not (scratch.parent / "k.wav").exists()


async def test_many_at_once_are_each_there(rig: ObjectsRig, tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        for n in range(8):
            group.create_task(put(rig, f"a/{n}.wav", b"RIFF%d" % n, tmp_path / str(n)))
    assert rig.stored() == {f"a/{n}.wav": b"RIFF%d" % n for n in range(8)}


async def test_a_store_that_takes_nothing_is_unavailable_and_goes_on_when_it_does(
    rig: ObjectsRig, scratch: Path
) -> None:
    await put(rig, "before.wav", b"RIFF", scratch)
    with rig.away(), pytest.raises(Unavailable) as away:
        await put(rig, PLACE, b"RIFF", scratch)
    assert str(away.value).startswith("object store: ")
    assert [said for said in (NUMBER, "127.0.0.1", "k.wav", str(scratch.parent)) if said in str(away.value)] == []
    await put(rig, PLACE, b"RIFF", scratch)
    assert rig.stored() == {"before.wav": b"RIFF", PLACE: b"RIFF"}


@pytest.mark.parametrize("old", [None, b"what was there before"])
async def test_half_a_file_is_never_seen(rig: ObjectsRig, scratch: Path, old: bytes | None) -> None:
    if old is not None:
        await put(rig, PLACE, old, scratch)
    large = a_file(scratch, LARGE)
    with rig.full(), pytest.raises(Unavailable, match=rf"^object store: {rig.says}$"):
        await rig.objects.put(PLACE, large)
    assert rig.stored() == ({} if old is None else {PLACE: old})
    await rig.objects.put(PLACE, large)
    assert rig.stored() == {PLACE: LARGE}


@pytest.mark.parametrize("name", [PLACE, ODD_NAMES[0], ODD_NAMES[1]])
async def test_what_is_deleted_is_gone_and_nothing_else_is(rig: ObjectsRig, scratch: Path, name: str) -> None:
    await put(rig, name, b"RIFF", scratch)
    await put(rig, "other.wav", b"RIFF", scratch)
    assert await rig.objects.delete(name)
    assert not await rig.objects.delete(name), "it was gone"
    assert rig.stored() == {"other.wav": b"RIFF"}


async def test_a_store_that_deletes_nothing_says_so(rig: ObjectsRig, scratch: Path) -> None:
    await put(rig, PLACE, b"RIFF", scratch)
    with rig.away(), pytest.raises(Unavailable, match="object store: "):
        await rig.objects.delete(PLACE)
    assert rig.stored() == {PLACE: b"RIFF"}
