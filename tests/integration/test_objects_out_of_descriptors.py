"""Out of descriptors the object store is away, and works again when there are some: in a process of its own.

obstore makes its threads once in the life of a process, so nothing that ran before may have made them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.e2e.programs import ROOT

SECONDS = 60
PROGRAM = """
import asyncio, os, resource, sys
from pathlib import Path
from schemas.errors import Unavailable
from schemas.settings.addresses import objects_address
from workers.objects import make_runtime, open_objects

async def main():
    directory = Path(sys.argv[1])
    objects = open_objects(objects_address(f"file:{directory}/objects"))
    await make_runtime()
    (directory / "audio").write_bytes(b"RIFF")
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    taken = []
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        os.close(taken.pop())  # for the file that is read, and none for anything else
    try:
        await objects.put("a/1.wav", directory / "audio")
    except Unavailable as error:
        print(error)
    for one in taken:
        os.close(one)
    await objects.put("a/1.wav", directory / "audio")
    print((directory / "objects/a/1.wav").read_bytes())

asyncio.run(main())
"""


def test_without_a_descriptor_it_is_away_and_with_one_it_works_again(tmp_path: Path) -> None:
    """Found by `make chaos` (descriptors_short): the library panicked, which ended `up` and would for ever."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.stdout.splitlines() == ["object store: Too many open files", "b'RIFF'"], done.stderr[-2000:]
