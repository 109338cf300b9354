"""Whether it is really our process that listens on a port: a run must never be aimed at somebody else's server."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

_LISTENING: Final = "0A"  # proc(5): the state column of /proc/net/tcp
_LOCAL, _STATE, _INODE = 1, 3, 9


def listens(pids: Iterable[int], port: int) -> bool:
    """Whether one of these processes listens on that TCP port."""
    wanted = {f"socket:[{inode}]" for inode in _listening(port)}
    return bool(wanted) and any(wanted & _opened(pid) for pid in pids)


def _listening(port: int) -> set[str]:
    found: set[str] = set()
    for table in ("tcp", "tcp6"):
        rows = Path("/proc/net", table).read_text().splitlines()[1:]
        for fields in map(str.split, rows):
            if fields[_STATE] == _LISTENING and int(fields[_LOCAL].rpartition(":")[2], 16) == port:
                found.add(fields[_INODE])
    return found


def _opened(pid: int) -> set[str]:
    found: set[str] = set()
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            found.add(str(link.readlink()))
    except OSError:
        pass  # it closed a file, or ended, while we looked; the next look tells
    return found
