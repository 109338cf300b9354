"""What of ours is measured: this tree, trees of other commits beside it, and either on other interpreters."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tests.bench.contender import ROOT, Trouble
from tests.services import debian, suite

LOCK: Final = ROOT / "requirements" / "runtime.lock"
SUITES: Final[Mapping[str, str]] = {"3.13": "trixie", "3.14": "sid"}  # where Debian has that Python
_PATCHELF: Final = "/usr/bin/patchelf"
ASK: Final = "import json, sys, sysconfig; v = sysconfig.get_config_var; \
print(json.dumps([sys.version.split()[0], v('CONFIG_ARGS') or '', v('PGO_PROF_USE_FLAG'), sys.base_prefix]))"


@dataclass(frozen=True, kw_only=True)
class Build:
    """A tree of ours, and the interpreter that it runs on; "Callstitch" is today's, on the interpreter asked for."""

    name: str = "Callstitch"
    root: Path = ROOT
    python: str = sys.executable

    def command(self, module: str, *arguments: str) -> list[str]:
        """What runs one of its modules."""
        return [self.python, "-m", module, *arguments]

    @property
    def environ(self) -> Mapping[str, str]:
        """In which it finds its own code before all other."""
        return {"PYTHONPATH": str(self.root)}


HERE: Final = Build()


@cache
def interpreter(python: str) -> str:
    """Version of an interpreter, and how it was built, as far as it tells."""
    return described(subprocess.run([python, "-c", ASK], capture_output=True, text=True, check=True).stdout)


def described(told: str) -> str:
    """The same of what an interpreter answers to ASK."""
    version, arguments, profile, prefix = json.loads(told)
    if "--enable-optimizations" in arguments:
        return f"{version}, optimised (PGO{' and LTO' if '--with-lto' in arguments else ''})"
    if prefix.endswith("/usr") and not profile:  # Debian's rules make `profile-opt` by hand, and wipe its flags
        return f"{version}, Debian's, optimised (PGO and LTO by its own rules)"
    return f"{version}, not optimised (neither --enable-optimizations nor a distribution's)"


@contextmanager
def trees(commits: Sequence[str], python: str) -> Iterator[list[Build]]:
    """The trees of these commits, unpacked in a temporary folder for as long; they run on this tree's packages.

    Raises:
        Trouble: there is no such commit here.
    """
    with tempfile.TemporaryDirectory(prefix="callstitch-bench-") as folder:
        yield [Build(name=commit, root=_unpacked(commit, Path(folder)), python=python) for commit in commits]


def _unpacked(commit: str, folder: Path) -> Path:
    root = folder / commit.replace("/", "-")
    archive = root.with_suffix(".tar")
    made = subprocess.run(
        ["git", "-C", str(ROOT), "archive", f"--output={archive}", commit], capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise Trouble(f"no tree of {commit}: {made.stderr.strip()}")
    with tarfile.open(archive) as tar:
        tar.extractall(root, filter="data")
    archive.unlink()
    return root


def environment(asked: str, directory: Path) -> str:
    """The interpreter of a virtual environment with what Callstitch runs on; made anew when the lock changed.

    `asked` is a path, or 3.13 or 3.14: Debian's, unpacked into `directory`.

    Raises:
        debian.Missing: that Python cannot be had here.
        subprocess.CalledProcessError: the packages could not be installed; pip has said why.
    """
    python = asked if "/" in asked else _debian_python(asked, directory)
    home = directory / f"python-{interpreter(python).partition(',')[0]}-{'own' if '/' in asked else 'debian'}"
    if virtual_environment(home, python, LOCK):
        _name_our_version(home)
    return str(home / "bin" / "python")


def virtual_environment(home: Path, python: str, lock: Path) -> bool:
    """See that there is one, of that interpreter with what that lock names; whether it was made anew.

    Raises:
        subprocess.CalledProcessError: it could not be made; pip has said why.
    """
    stamp, wanted = home / "made", f"{python}\n{lock.read_text()}"
    if stamp.exists() and stamp.read_text() == wanted:
        return False
    print(f"Installing {lock.relative_to(ROOT)} into {home} (once)", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([python, "-m", "venv", "--without-pip", str(home)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "--disable-pip-version-check", "-qq"]
    subprocess.run([*pip, "install", "--no-deps", "--no-compile", "--require-hashes", "-r", str(lock)], check=True)
    stamp.write_text(wanted)
    return True


def _name_our_version(home: Path) -> None:
    """The code is found by PYTHONPATH; what it asks its version of is copied from our own environment."""
    (metadata,) = Path(sysconfig.get_path("purelib")).glob("callstitch-*.dist-info")
    (site,) = (home / "lib").glob("python3*/site-packages")
    shutil.copytree(metadata, site / metadata.name)


def _debian_python(version: str, directory: Path) -> str:
    """Debian's interpreter of that version, made to bring its own C library, so that it runs here as any program does.

    No chroot: what runs on it must find the services, files and tools of this machine.
    """
    if version not in SUITES:
        raise debian.Missing(f"Python {version}: a path, or one of {', '.join(SUITES)}")
    root = directory / f"suite-{SUITES[version]}-python{version}"
    python = root / "usr" / "bin" / f"python{version}"
    if not (root / "made").exists():
        print(f"Unpacking Debian's Python {version} into {root} (once)", flush=True)
        shutil.rmtree(root, ignore_errors=True)
        suite.unpack(SUITES[version], (f"python{version}", f"python{version}-venv"), root)
        (libraries,) = (root / "usr" / "lib").glob("*-linux-gnu")
        (loader,) = libraries.glob("ld-linux*")
        patchelf = str(debian.program(_PATCHELF, package="patchelf"))
        subprocess.run([patchelf, "--set-interpreter", str(loader), str(python)], check=True)
        subprocess.run([patchelf, "--force-rpath", "--set-rpath", str(libraries), str(python)], check=True)
        (root / "made").touch()
    return str(python)
