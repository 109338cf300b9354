"""Stand-ins for official base images, from Debian's packages, under the names that the files in deploy/ use.

A stand-in has the official image's name, user, ports, main variables and volume, not its bytes: it proves a Dockerfile
and a compose file, not the vendor's image. With CALLSTITCH_IMAGES=pull none is built, and a registry is asked.
"""

from __future__ import annotations

import re
import shutil
import tempfile
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
_ROOT_BYTES: Final = 800_000_000
_ROOT_SECONDS: Final = 900.0
_BUILD_SECONDS: Final = 600.0
# What maintainer scripts would have made, as far as it is needed: none runs, which takes a third of the time.
_FURNISH: Final = """
set -e; cd "$1"
for table in passwd group; do cp "usr/share/base-passwd/$table.master" "etc/$table"; done
mkdir -p proc dev sys tmp var/tmp etc/ssl/certs usr/local/bin && chmod 1777 tmp var/tmp
[ -e usr/bin/awk ] || ln -s mawk usr/bin/awk
cp -L /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/
cp -L "$2" etc/pip.conf
for name in python python3; do ln -s /usr/bin/python3 "usr/local/bin/$name"; done
ln -s /usr/bin/pip3 usr/local/bin/pip
rm -f usr/lib/python3*/EXTERNALLY-MANAGED
rm -rf usr/share/doc usr/share/man usr/share/locale
exec tar --create --numeric-owner --file "$3" .
"""


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
    path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    _build_root(engine, PYTHON, "--change", 'CMD ["python3"]', "--change", f"ENV {path}")
    engine.podman("tag", PYTHON, base_image())


def _build_servers(engine: Engine) -> None:
    _build_root(engine, SERVERS)
    for name in ("rabbitmq", "postgres"):
        _build_service(engine, name)


def _build_service(engine: Engine, name: str) -> None:
    context = engine.home / f"context-{name}"
    shutil.copytree(FOLDER, context, dirs_exist_ok=True)
    shutil.copy(LOCK, context)
    file, tag = context / f"{SERVICES[name]}.Dockerfile", services()[name]["image"]
    engine.podman("build", "--pull=never", "--file", str(file), "--tag", tag, str(context), seconds=_BUILD_SECONDS)


def _build_root(engine: Engine, name: str, *changes: str) -> None:
    """Packages of Debian trixie, unpacked, as an image of one layer."""
    if engine.has_image(name):
        return
    settings, tar = engine.home / "pip.conf", engine.home / f"{name.rpartition('/')[2]}.tar"
    settings.write_text(pip_settings())
    with tempfile.TemporaryDirectory(prefix="callstitch-root-", dir=roomy(engine.home, _ROOT_BYTES)) as scratch:
        root = Path(scratch) / "root"
        wanted = [f"--include={each}" for each in ("?essential", ROOTS[name])]
        unpack = ["mmdebstrap", "--quiet", "--variant=extract", *wanted, "trixie", str(root), *suite.mirror()]
        ran(engine.command(*unpack), seconds=_ROOT_SECONDS)
        ran(engine.command("sh", "-c", _FURNISH, "sh", str(root), str(settings), str(tar)))
        ran(engine.command("rm", "-rf", str(root)))
    engine.podman("import", "--quiet", *changes, str(tar), name)
    ran(engine.command("rm", str(tar)))
