"""Podman with settings and storage in a folder of its own: nothing of the machine's is written, all of it is removed.

What makes containers run where others do not: runc, because crun refuses hybrid cgroups; limits of open files and
processes that are named, because podman's defaults may be more than is allowed; builds in a chroot, and in Docker's
format, which alone has a HEALTHCHECK; no systemd timers, so whoever wants to know asks `podman healthcheck run`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.services import debian

PROGRAMS: Final[Mapping[str, str]] = {  # what of it is missing is installed, where that is ours to decide
    "/usr/bin/podman": "podman",
    "/usr/sbin/runc": "runc",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
    "/usr/sbin/iptables": "iptables",
    "/usr/bin/mmdebstrap": "mmdebstrap",
}
COMMAND_SECONDS: Final = 300.0
_CONTAINERS_CONF: Final = """\
[containers]
default_ulimits = ["nofile=8192:8192", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{home}/tmp"
[network]
network_backend = "netavark"
network_config_dir = "{home}/networks"
"""
_STORAGE_CONF: Final = '[storage]\ndriver = "overlay"\nrunroot = "{home}/run"\ngraphroot = "{home}/graph"\n'


def install() -> None:
    """See that containers can run here: with CI=true what is missing is installed, elsewhere podman has to be there.

    Raises:
        Missing: they cannot.
    """
    if not debian.in_ci() and shutil.which("podman") is None:
        raise debian.Missing("there is no podman here (with CI=true it is installed)")
    debian.programs(PROGRAMS)
    if debian.as_root() is None:
        raise debian.Missing("containers with limits and networks of their own need root")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One podman; `home` must not exist yet, or be an engine's."""

    home: Path
    environ: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Write its settings."""
        self.home.mkdir(parents=True, exist_ok=True)
        settings = {"CONTAINERS_CONF": _CONTAINERS_CONF, "CONTAINERS_STORAGE_CONF": _STORAGE_CONF}
        paths = {name: self.home / f"{name.lower()}.conf" for name in (*settings, "CONTAINERS_REGISTRIES_CONF")}
        for name, path in paths.items():
            path.write_text(settings.get(name, "unqualified-search-registries = []\n").format(home=self.home))
        environ = {name: str(path) for name, path in paths.items()}
        environ |= {"BUILDAH_FORMAT": "docker", "BUILDAH_ISOLATION": "chroot", "DISABLE_HC_SYSTEMD": "true"}
        object.__setattr__(self, "environ", environ)

    def command(self, *words: str, environ: Mapping[str, str] | None = None) -> list[str]:
        """The words as they are run: as root, with this engine's settings."""
        given = [f"{name}={value}" for name, value in {**self.environ, **(environ or {})}.items()]
        return [*(debian.as_root() or []), "env", *given, *words]

    def podman(
        self, *arguments: str, check: bool = True, stdin: int = subprocess.DEVNULL, seconds: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run it; a failed test tells what it said."""
        return ran(self.command("podman", *arguments), check=check, stdin=stdin, seconds=seconds)

    def has_image(self, name: str) -> bool:
        """Whether it is stored here."""
        return self.podman("image", "exists", name, check=False).returncode == 0

    def close(self, *, keep_images: bool) -> None:
        """Remove all containers, networks and volumes of this engine, and unless told otherwise its folder."""
        self.podman("rm", "--all", "--force", "--time", "0", check=False)
        for kind in ("network", "volume"):
            self.podman(kind, "prune", "--force", check=False)
        if keep_images:
            return
        self.podman("rmi", "--all", "--force", check=False)
        mounted = sorted(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines())
        for place in reversed([one for one in mounted if one.startswith(f"{self.home}/")]):
            ran([*(debian.as_root() or []), "umount", "--lazy", place], check=False)
        ran([*(debian.as_root() or []), "rm", "-rf", "--one-file-system", str(self.home)], check=False)


def ran(
    command: Sequence[str], *, check: bool = True, stdin: int = subprocess.DEVNULL, seconds: float = COMMAND_SECONDS
) -> subprocess.CompletedProcess[str]:
    """What the command printed; with `check` it fails the test when it fails."""
    done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=seconds, check=False)
    said = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert not check or done.returncode == 0, f"{' '.join(command[-8:])}: exit code {done.returncode}\n{said}"
    return done


def pip_settings() -> str:
    """The machine's own pip settings, as a file for a build: what names its folders or its constraints stays out."""
    listed = ran([sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]).stdout
    found: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        if key in {"index-url", "extra-index-url", "trusted-host", "proxy", "cert", "timeout"}:
            words = [word for word in value.strip("'").split() if not word.startswith("file:")]
            if words:
                found[key] = " ".join(words)
    return "[global]\n" + "".join(f"{key} = {value}\n" for key, value in found.items())


def roomy(home: Path, needed: int) -> str:
    """Where to unpack for a moment: memory, where there is room, because a package manager syncs each file."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of a name of its own is made in it
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 3 * needed:
        return str(memory)
    return str(home)
