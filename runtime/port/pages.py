"""The small pages of an admin port: a few paths, a few connections, and no name but our own on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Final

from aiohttp import web

from runtime.port.address import split_address, start_listening
from runtime.port.connections import Connections
from runtime.port.descriptors import room_for

KEEPALIVE_SECONDS: Final = 75.0

Page = Callable[[web.BaseRequest], Awaitable[web.Response]]


@asynccontextmanager
async def serve_pages(address: str, pages: Mapping[str, Page]) -> AsyncIterator[None]:
    """Serve until the context ends; a page is found by `METHOD /path`, where `/path/` stands for all below it.

    Raises:
        Misconfigured: see start_listening.
    """
    loopback = _is_loopback(address)

    async def serve(request: web.BaseRequest) -> web.Response:
        if loopback and not _is_ours(request.headers.get("Host", "")):
            return web.Response(status=403, text="this port answers to localhost only\n")
        method = "GET" if request.method == "HEAD" else request.method
        page = pages.get(f"{method} {request.path}") or pages.get(f"{method} {request.path.rpartition('/')[0]}/")
        return await page(request) if page is not None else web.Response(status=404)

    server = Connections(
        serve, port="admin", most=room_for(1).admin, keepalive_timeout=KEEPALIVE_SECONDS, access_log=None
    )
    runner = web.ServerRunner(server)
    await runner.setup()
    try:
        await start_listening(runner, address)
        yield
    finally:
        await runner.cleanup()


def _is_loopback(address: str) -> bool:
    if address.startswith("unix:"):
        return False
    host, _ = split_address(address)
    return host == "localhost" or _is_ip(host, loopback=True)


def _is_ours(host: str) -> bool:
    """Whether a browser that was led here by a stranger's name would not send this (DNS rebinding)."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    name = name.strip("[]").lower()
    return name in ("", "localhost") or _is_ip(name)


def _is_ip(host: str, *, loopback: bool = False) -> bool:
    try:
        found = ip_address(host)
    except ValueError:
        return False
    return found.is_loopback if loopback else True
