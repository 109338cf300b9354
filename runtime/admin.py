"""The admin port: /livez, /readyz and /metrics, on loopback unless the config says otherwise."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import orjson
from aiohttp import web

from runtime.telemetry import Telemetry
from schemas.envelope import JsonObject
from schemas.errors import Misconfigured, Unavailable

Checks = Mapping[str, Callable[[], bool]]
Commands = Mapping[str, Callable[[JsonObject], Awaitable[JsonObject]]]


def split_address(address: str) -> tuple[str, int]:
    """`host:port` in two; an IPv6 host stands in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


async def start_listening(runner: web.BaseRunner, address: str, *, shared: bool = False) -> None:
    """Open the port, or the socket of `unix:PATH`; a `shared` port is open to other processes of our user too.

    Raises:
        Misconfigured: the address is not `host:port`, or something else listens there.
    """
    try:
        await _site(runner, address, shared=shared).start()
    except (OSError, ValueError) as error:
        raise Misconfigured(f"cannot listen on {address}: {error}") from None


def _site(runner: web.BaseRunner, address: str, *, shared: bool) -> web.BaseSite:
    if address.startswith("unix:"):
        return web.UnixSite(runner, address.removeprefix("unix:"))
    host, port = split_address(address)
    return web.TCPSite(runner, host, port, backlog=1024, reuse_address=True, reuse_port=shared)


@asynccontextmanager
async def serve_admin(
    address: str, telemetry: Telemetry, checks: Checks, *, commands: Commands, token: str | None
) -> AsyncIterator[None]:
    """Serve until the context ends; /readyz is 503 and names what is not ready unless every check passes.

    `commands` are the changes that only the owner of a state file can make: POST /commands/NAME with JSON, and the
    token that stands in a file only its owner's user can read. Without a token there are none.
    """

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        states = {name: check() for name, check in checks.items()}
        status = 200 if all(states.values()) else 503
        return web.Response(status=status, body=orjson.dumps(states), content_type="application/json")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=telemetry.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def command(request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        run = commands.get(request.match_info["name"])
        if token is None or run is None or not hmac.compare_digest(given.encode(), token.encode()):
            return web.Response(status=404)
        try:
            done = await run(orjson.loads(await request.read()))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return web.Response(status=400)
        except Unavailable as error:
            return web.Response(status=503, text=str(error))
        return web.Response(body=orjson.dumps(done), content_type="application/json")

    app = web.Application()
    app.add_routes([web.post("/commands/{name}", command)])
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await start_listening(runner, address)
        yield
    finally:
        await runner.cleanup()
