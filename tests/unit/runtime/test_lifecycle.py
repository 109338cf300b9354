"""What a process is set up with before its role runs."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest

from tests.building.tree import ROOT

BATCHES: Final = 100
PROGRAM: Final = f"""
import resource
from runtime.lifecycle import keep_freed_memory
{{}}
def batch():
    return [bytes(100_000) for _ in range(20)]
batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({BATCHES}):
    batch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(set_up: str) -> int:
    program = [sys.executable, "-c", PROGRAM.format(set_up)]
    return int(subprocess.run(program, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="this is glibc's own trouble")
def test_what_one_batch_frees_the_next_one_finds() -> None:
    assert page_faults("keep_freed_memory()") < BATCHES < page_faults("") / 10, "pages: hardly any, or every batch"
