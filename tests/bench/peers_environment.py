"""The peers' own virtual environment, made once under the bench's directory from the pinned lock beside them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PEERS: Final = Path(__file__).with_name("peers")
LOCK: Final = PEERS / "requirements.lock"
TOLD: Final = ("aio-pika", "aiohttp", "fastapi", "faststream", "mq-bridge", "repid", "uvicorn", "uvloop", "asyncpg")


def peers_python(directory: Path) -> Path:
    """The interpreter of that environment; made again when the lock changed.

    Raises:
        subprocess.CalledProcessError: it could not be made; pip has said why.
    """
    home = directory / "peers"
    python, stamp = home / "bin" / "python", home / "lock.sha256"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"Installing the peers into {home} (once)", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-qq", "install", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--require-hashes", "-r", str(LOCK)], check=True)
    stamp.write_text(wanted)
    return python


def versions() -> Mapping[str, str]:
    """The pinned versions of the peers and what they stand on."""
    pinned = dict(line.split(" ")[0].split("==") for line in LOCK.read_text().splitlines() if "==" in line)
    return {name: pinned[name] for name in TOLD}
