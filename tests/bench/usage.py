"""CPU seconds and peak memory of processes and all that descends from them, from /proc (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PARENT, _USER, _SYSTEM, _DEAD_USER, _DEAD_SYSTEM = 1, 11, 12, 13, 14  # fields after the name in brackets
_KIB_A_MIB: Final = 1024


@dataclass(frozen=True, kw_only=True)
class Usage:
    """CPU seconds since each process began, and the peak resident memory of the largest, in MiB."""

    cpu: float
    peak_mib: float


def usage(roots: Iterable[int]) -> Usage:
    """Of these processes, of their living descendants, and the CPU of the dead ones that were waited for."""
    stats = _stats()
    family = _family(set(roots), stats)
    ticks = sum(int(stats[pid][field]) for pid in family for field in (_USER, _SYSTEM, _DEAD_USER, _DEAD_SYSTEM))
    return Usage(cpu=ticks / _TICKS, peak_mib=max((_peak_mib(pid) for pid in family), default=0.0))


def _stats() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                text = (directory / "stat").read_text()
            except OSError:
                continue  # it ended
            found[int(directory.name)] = text.rpartition(")")[2].split()
    return found


def _family(members: set[int], stats: dict[int, list[str]]) -> set[int]:
    members = members & stats.keys()
    while more := {pid for pid, fields in stats.items() if int(fields[_PARENT]) in members} - members:
        members |= more
    return members


def _peak_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / _KIB_A_MIB for line in lines if line.startswith("VmHWM:")), 0.0)
