"""The peers' own virtual environment, made once under the bench's directory from the pinned lock beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.bench.builds import virtual_environment

PEERS: Final = Path(__file__).with_name("peers")
LOCK: Final = PEERS / "requirements.lock"
TOLD: Final = ("aio-pika", "aiohttp", "fastapi", "faststream", "mq-bridge", "repid", "uvicorn", "uvloop", "asyncpg")


def peers_python(directory: Path, python: str) -> Path:
    """The interpreter of that environment, of the same build as ours; made again when the lock changed.

    Raises:
        subprocess.CalledProcessError: it could not be made; pip has said why.
    """
    home = directory / "peers"
    virtual_environment(home, python, LOCK)
    return home / "bin" / "python"


def versions() -> Mapping[str, str]:
    """The pinned versions of the peers and what they stand on."""
    pinned = dict(line.split(" ")[0].split("==") for line in LOCK.read_text().splitlines() if "==" in line)
    return {name: pinned[name] for name in TOLD}
