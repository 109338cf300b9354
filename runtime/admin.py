"""The admin port: /livez, /readyz and /metrics, on loopback unless the config says otherwise."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import orjson
from aiohttp import web

from runtime.port.pages import serve_pages
from runtime.telemetry import Telemetry
from schemas.envelope import JsonObject
from schemas.errors import Unavailable

Checks = Callable[[], Mapping[str, bool | str]]  # each True, or False, or why not
Commands = Mapping[str, Callable[[JsonObject], Awaitable[JsonObject]]]


def _told(
    found: Mapping[str, bool | str],
    paused: Sequence[str],
    away: Sequence[str],
    held: Mapping[str, str],
    stale: str,
) -> JsonObject:
    """Each check by name, under `reasons` what those say that do not pass, and what rests of its own accord.

    Under `away` whose far end is away, under `held` what an operator holds, by whom and since when, under `stale` why
    a config that changed was not taken.
    """
    reasons = {name: state for name, state in found.items() if isinstance(state, str)}
    return {
        **{name: state is True for name, state in found.items()},
        **({"reasons": reasons} if reasons else {}),
        **({"paused": paused} if paused else {}),
        **({"away": away} if away else {}),
        **({"held": held} if held else {}),
        **({"stale": stale} if stale else {}),
    }


@asynccontextmanager
async def serve_admin(
    address: str,
    telemetry: Telemetry,
    checks: Checks,
    *,
    commands: Commands,
    token: str | None,
    paused: Callable[[], Sequence[str]] = tuple,
    away: Callable[[], Sequence[str]] = tuple,
    stale: Callable[[], str] = str,
    held: Callable[[], Mapping[str, str]] = dict,
) -> AsyncIterator[None]:
    """Serve until the context ends; /readyz is 503 and names what is not ready, and why, unless every check passes.

    `paused` names what rests because its sink asked for that, `away` that whose far end is away, `held` what an
    operator holds, `stale` says why a new
    config was not taken: nothing is broken here, so it stays 200.

    `commands` are the changes that only the owner of a state file can make: POST /commands/NAME with JSON, and the
    token that stands in a file only its owner's user can read. Without a token there are none.
    """

    async def livez(_: web.BaseRequest) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.BaseRequest) -> web.Response:
        found = checks()
        status = 200 if all(state is True for state in found.values()) else 503
        told = _told(found, paused(), away(), held(), stale())
        return web.Response(status=status, body=orjson.dumps(told), content_type="application/json")

    async def metrics(_: web.BaseRequest) -> web.Response:
        return web.Response(body=telemetry.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def command(request: web.BaseRequest) -> web.Response:
        run = commands.get(request.path.rpartition("/")[2])
        if token is None or run is None or not _has(request, token):
            return web.Response(status=404)
        try:
            done = await run(orjson.loads(await request.read()))
        except (KeyError, TypeError, ValueError):
            return web.Response(status=400)
        except Unavailable as error:
            return web.Response(status=503, text=str(error))
        return web.Response(body=orjson.dumps(done), content_type="application/json")

    pages = {"POST /commands/": command, "GET /livez": livez, "GET /readyz": readyz, "GET /metrics": metrics}
    async with serve_pages(address, pages):
        yield


def _has(request: web.BaseRequest, token: str) -> bool:
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return hmac.compare_digest(given.encode(errors="surrogateescape"), token.encode())
