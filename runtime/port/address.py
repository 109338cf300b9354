"""Where to listen, and opening the port there."""

from __future__ import annotations

from aiohttp import web

from runtime.port.descriptors import BACKLOG
from schemas.errors import Misconfigured


def split_address(address: str) -> tuple[str, int]:
    """`host:port` in two; an IPv6 host stands in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


async def start_listening(
    runner: web.BaseRunner, address: str, *, shared: bool = False, backlog: int = BACKLOG
) -> None:
    """Open the port, or the socket of `unix:PATH`; a `shared` port is open to other processes of our user too.

    Raises:
        Misconfigured: the address is not `host:port`, or something else listens there.
    """
    try:
        await _site(runner, address, shared=shared, backlog=backlog).start()
    except (OSError, ValueError) as error:
        raise Misconfigured(f"cannot listen on {address}: {error}") from None


def _site(runner: web.BaseRunner, address: str, *, shared: bool, backlog: int) -> web.BaseSite:
    if address.startswith("unix:"):
        return web.UnixSite(runner, address.removeprefix("unix:"))
    host, port = split_address(address)
    return web.TCPSite(runner, host, port, backlog=backlog, reuse_address=True, reuse_port=shared)
