"""Stand-ins for official base images, from Debian's packages, under the names that the files in deploy/ use.

A stand-in has the official image's name, user, ports, main variables and volume, not its bytes: it proves a Dockerfile
and a compose file, not the vendor's image. With CALLSTITCH_IMAGES=pull none is built, and a registry is asked.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import yaml

from tests.building.tree import ROOT
from tests.containers.engine import Engine, pip_settings, ran, roomy
from tests.services import suite

DOCKERFILE: Final = ROOT / "deploy/Dockerfile"
COMPOSE: Final = ROOT / "deploy/compose.yaml"
IMAGE: Final = "localhost/callstitch:latest"
FOLDER: Final = Path(__file__).parent / "stand_ins"
LOCK: Final = ROOT / "requirements/stand-ins.lock"
PYTHON: Final = "localhost/callstitch-stand-in/python"
SERVERS: Final = "localhost/callstitch-stand-in/servers"
ROOTS: Final[Mapping[str, str]] = {
    PYTHON: "python3,python3-venv,python3-pip,ca-certificates",
    SERVERS: "rabbitmq-server,postgresql-17,ca-certificates",
}
SERVICES: Final = {"rabbitmq": "rabbitmq", "postgres": "postgres", "s3": "s3"}  # of the compose file: its Dockerfile
_CERTIFICATES: Final = "/etc/ssl/certs/ca-certificates.crt"
_ROOT_BYTES: Final = 800_000_000
_ROOT_SECONDS: Final = 900.0
_BUILD_SECONDS: Final = 600.0
# What python's official image has and Debian's does not.
_LIKE_PYTHON: Final = (
    'ln -s /usr/bin/python3 "$1/usr/local/bin/python"; ln -s /usr/bin/python3 "$1/usr/local/bin/python3";'
    ' ln -s /usr/bin/pip3 "$1/usr/local/bin/pip"; rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED'
)


def base_image() -> str:
    """The image that deploy/Dockerfile starts from."""
    found = re.search(r"^FROM (\S+?)\$\{PYTHON_DIGEST\}", DOCKERFILE.read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def services() -> dict[str, Any]:
    """Those of the compose file, as they stand there."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def build_all(engine: Engine, *, pull: bool) -> None:
    """Every image that the compose file needs: the product's from its real Dockerfile, the others as stand-ins."""
    if pull:
        build_product(engine, pull="missing")
        return
    with ThreadPoolExecutor() as pool:
        servers = pool.submit(_build_servers, engine)
        _build_python(engine)
        s3 = pool.submit(_build_service, engine, "s3")
        build_product(engine, pull="never")
        s3.result()
        servers.result()


def build_product(engine: Engine, *, pull: str) -> None:
    """The real Dockerfile."""
    engine.podman(
        "build", f"--pull={pull}", "--file", str(DOCKERFILE), "--tag", IMAGE, str(ROOT), seconds=_BUILD_SECONDS
    )


def _build_python(engine: Engine) -> None:
    if not engine.has_image(PYTHON):
        settings = engine.home / "pip.conf"
        settings.write_text(pip_settings())
        hooks = [_LIKE_PYTHON, f"copy-in {settings} /etc", f"copy-in {_CERTIFICATES} {Path(_CERTIFICATES).parent}"]
        path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
        _build_root(engine, PYTHON, hooks, ['CMD ["python3"]', f"ENV {path}"])
    engine.podman("tag", PYTHON, base_image())


def _build_servers(engine: Engine) -> None:
    if not engine.has_image(SERVERS):
        _build_root(engine, SERVERS, [], [])
    for name in ("rabbitmq", "postgres"):
        _build_service(engine, name)


def _build_service(engine: Engine, name: str) -> None:
    context = engine.home / f"context-{name}"
    shutil.copytree(FOLDER, context, dirs_exist_ok=True)
    shutil.copy(LOCK, context)
    file, tag = context / f"{SERVICES[name]}.Dockerfile", services()[name]["image"]
    engine.podman("build", "--pull=never", "--file", str(file), "--tag", tag, str(context), seconds=_BUILD_SECONDS)


def _build_root(engine: Engine, name: str, hooks: list[str], changes: list[str]) -> None:
    """A root file system of Debian trixie as an image of one layer."""
    tar = engine.home / f"{name.rpartition('/')[2]}.tar"
    hooked = [f"--customize-hook={hook}" for hook in hooks]
    lean = [f"--dpkgopt=path-exclude=/usr/share/{one}/*" for one in ("doc", "man", "locale")]
    ran(
        engine.command(
            "mmdebstrap", "--quiet", "--variant=minbase", f"--include={ROOTS[name]}", *lean, *hooked,
            "trixie", str(tar), *suite.mirror(), environ={"TMPDIR": roomy(engine.home, _ROOT_BYTES)},
        ),
        seconds=_ROOT_SECONDS,
    )  # fmt: skip
    changed = [word for change in changes for word in ("--change", change)]
    engine.podman("import", "--quiet", *changed, str(tar), name)
    ran(engine.command("rm", str(tar)))
