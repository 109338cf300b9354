"""Ports on loopback for what the tests start."""

from __future__ import annotations

import random
import socket

# Below every system's ephemeral range (Linux starts at 32768). A port inside that range may be taken by somebody's
# outgoing connection while our server is stopped, or answer its own client: TCP lets a socket connect to itself.
_LOWEST, _HIGHEST = 20_000, 32_000
_ATTEMPTS = 200


def free_port() -> int:
    """A TCP port that nothing on loopback listens on now.

    Raises:
        OSError: none was found.
    """
    for port in random.SystemRandom().sample(range(_LOWEST, _HIGHEST), _ATTEMPTS):
        if _bindable(port):
            return port
    raise OSError(f"no free port among {_ATTEMPTS} tried")


def answers(port: int) -> bool:
    """Whether something on loopback accepts connections on that port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
