"""Ports on loopback for what the tests start."""

from __future__ import annotations

import random
import socket
import sys
from typing import Final

# Below every system's ephemeral range (Linux starts at 32768). A port inside that range may be taken by somebody's
# outgoing connection while our server is stopped, or answer its own client: TCP lets a socket connect to itself.
_LOWEST: Final = 20_000
_HIGHEST: Final = 32_000
_ATTEMPTS: Final = 200
_RESERVED: Final[list[socket.socket]] = []  # until this process ends


def free_port() -> int:
    """A TCP port of loopback for a server to come; no other run on this machine is given it while this one lasts.

    Until the server comes, a connection is refused.

    Raises:
        OSError: none was found.
    """
    for port in random.SystemRandom().sample(range(_LOWEST, _HIGHEST), _ATTEMPTS):
        if _is_reserved(port):
            return port
    raise OSError(f"no free port among {_ATTEMPTS} tried")


def answers(port: int) -> bool:
    """Whether something on loopback accepts connections on that port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_reserved(port: int) -> bool:
    """Bind it for ourselves alone, and then let servers, which set SO_REUSEADDR, bind it beside us and listen.

    Only Linux lets them; elsewhere it is free now, and no more than that.
    """
    holder = socket.socket()
    try:
        holder.bind(("127.0.0.1", port))
    except OSError:
        holder.close()
        return False
    if sys.platform != "linux":
        holder.close()
        return True
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _RESERVED.append(holder)
    return True
