"""What differs between two configs, by key and never by value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from workers.config import Config

AT_START: Final = ("broker", "store", "objects", "ingest", "retry")  # what a process holds open, or is built around


def differences(old: Config, new: Config) -> list[str]:
    """The keys that differ, as written in the file; a table that has a name goes by it: `source.huawei.tokens`."""
    return sorted(set(_differing(old.model_dump(), new.model_dump(), "")))


def needs_restart(key: str) -> bool:
    """Whether a change of it is taken only by a new process."""
    return key.split(".", maxsplit=1)[0] in AT_START


def as_far_as_taken(old: Config, new: Config) -> Config:
    """The new config, but for what needs a restart."""
    return new.model_copy(update={key: getattr(old, key) for key in AT_START})


def _differing(old: Any, new: Any, place: str) -> Iterator[str]:
    if old == new:
        return
    before, after = _tables(old), _tables(new)
    if before is None or after is None:
        yield place
        return
    for name in before.keys() | after.keys():
        key = f"{place}.{name}" if place else name
        if name in before and name in after:
            yield from _differing(before[name], after[name], key)
        else:
            yield key


def _tables(value: Any) -> Mapping[str, Any] | None:
    """Its parts by name, where it has some; the order of named tables means nothing, that of others does."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, Sequence) and all(isinstance(one, Mapping) and "name" in one for one in value):
        return {one["name"]: one for one in value}
    return None
