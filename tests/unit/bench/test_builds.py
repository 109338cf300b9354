"""Which trees and interpreters the benchmarks run, what they tell of them, and their pictures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.builds import Build, environment, interpreter, trees
from tests.bench.contender import ROOT, Trouble
from tests.bench.flames import MOST_BYTES, PICTURES, told
from tests.services import debian


def a_python(tmp_path: Path, *told: object) -> str:
    """A program that answers what an interpreter would."""
    program = tmp_path / f"python{len(list(tmp_path.iterdir()))}"
    program.write_text("#!/bin/sh\ncat <<'END'\n" + json.dumps(told) + "\nEND\n")
    program.chmod(0o755)
    return str(program)


def test_an_interpreter_is_named_with_how_it_was_built(tmp_path: Path) -> None:
    official = a_python(tmp_path, "3.13.16", "'--enable-optimizations' '--with-lto'", "-fprofile-use", "/usr/local")
    debian = a_python(tmp_path, "3.11.2", "'--with-dtrace'", "", "/usr")
    plain = a_python(tmp_path, "3.11.7", "'--enable-shared'", "-fprofile-use", "/root")

    assert interpreter(official) == "3.13.16, optimised (PGO and LTO)"
    assert interpreter(debian).startswith("3.11.2, Debian's, optimised")
    assert interpreter(plain).startswith("3.11.7, not optimised")
    assert interpreter(sys.executable).startswith(".".join(map(str, sys.version_info[:3])))


def test_a_tree_beside_ours_runs_its_own_code_on_our_packages() -> None:
    with trees(["HEAD"], sys.executable) as found:
        [beside] = found
        where = [*beside.command("console")[:1], "-c", "import console; print(console.__path__[0])"]
        told = subprocess.run(where, env=dict(beside.environ), capture_output=True, text=True, check=True, cwd="/")
        assert Path(told.stdout.strip()) == beside.root / "console"
        assert beside.root != ROOT

    assert not beside.root.exists()
    assert Build().root == ROOT


def test_a_commit_that_is_not_here_is_refused() -> None:
    with pytest.raises(Trouble, match="no tree of no/commit"), trees(["no/commit"], sys.executable):
        pass


def test_a_python_that_nobody_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(debian.Missing, match=r"Python 3\.12: a path, or one of 3\.13, 3\.14"):
        environment("3.12", tmp_path)


def test_the_pictures_are_small_and_name_no_path_of_the_machine_that_made_them() -> None:
    pictures = sorted(PICTURES.glob("flame-*.svg"))
    assert [picture.name for picture in pictures] == [f"flame-{name}.svg" for name in ("correlate", "dedupe", "ingest")]
    for picture in pictures:
        text = picture.read_text()
        assert told(text, picture.stem) != text
        assert (
            f'<text id="title" fill="rgb(0,0,0)" x="50.0000%" y="24.00">{picture.stem.removeprefix("flame-")}, Python 3'
            in text
        )


@pytest.mark.parametrize("frame", ["<title>run (/root/a/b.py:1)</title>", "x" * MOST_BYTES])
def test_a_picture_that_cannot_stand_in_the_docs_is_refused(frame: str) -> None:
    with pytest.raises(Trouble, match="a picture"):
        told(f'<script></script><text id="title">spy</text>{frame}', "a picture")
