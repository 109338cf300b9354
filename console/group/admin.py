"""The admin port of a group of processes: each answers on a socket of its own, and here one answers for all.

Ready is the group only while every member is. A metric keeps one series for each member (label `process`): a sum made
here would fall when one dies, and look like a restart of all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from runtime.port.pages import serve_pages
from runtime.telemetry.made import counter, exposition
from schemas.envelope import JsonObject

ASK_SECONDS: Final = 2.0
_TEXT: Final = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a member said; `silent`: it listens and says nothing, as a frozen process does."""

    status: int = 0
    body: bytes = b""
    silent: bool = False

    @property
    def ok(self) -> bool:
        """Whether it answered 200."""
        return self.status == HTTPStatus.OK


@asynccontextmanager
async def serve_group_admin(address: str, sockets: Sequence[Path]) -> AsyncIterator[Callable[[str], None]]:
    """Serve until the context ends; what is handed out counts the start of a member by its name.

    /livez is 503 while a member is frozen: one that died is the supervisor's business. /readyz names the checks as
    `2.broker`, and a member that does not answer as `2`.

    Raises:
        Misconfigured: see start_listening.
    """
    registry = CollectorRegistry()
    starts = counter("callstitch_process_starts_total", registry)
    async with AsyncExitStack() as stack:
        sessions = {socket.name: await stack.enter_async_context(_session(socket)) for socket in sockets}

        async def ask_all(path: str) -> Mapping[str, Answer]:
            answers = await asyncio.gather(*(_ask(session, path) for session in sessions.values()))
            return dict(zip(sessions, answers, strict=True))

        async def livez(_: web.BaseRequest) -> web.Response:
            frozen = [name for name, answer in (await ask_all("/livez")).items() if answer.silent]
            if frozen:
                return web.Response(status=503, text=f"silent: {', '.join(frozen)}\n")
            return web.Response(text="ok\n")

        async def readyz(_: web.BaseRequest) -> web.Response:
            answers = await ask_all("/readyz")
            status = 200 if all(answer.ok for answer in answers.values()) else 503
            return web.Response(status=status, body=orjson.dumps(_checks(answers)), content_type="application/json")

        async def metrics(_: web.BaseRequest) -> web.Response:
            answers = await ask_all("/metrics")
            texts = {name: answer.body.decode() for name, answer in answers.items() if answer.ok}
            return web.Response(body=exposition(registry) + joined(texts), headers=_TEXT)

        pages = {"GET /livez": livez, "GET /readyz": readyz, "GET /metrics": metrics}
        await stack.enter_async_context(serve_pages(address, pages))
        yield lambda name: starts.labels(name).inc()


def joined(texts: Mapping[str, str]) -> bytes:
    """One exposition of the members' own, each sample labelled with its process."""
    families: dict[str, Metric] = {}
    for process, text in texts.items():
        for family in text_string_to_metric_families(text):
            kept = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            kept.samples += [sample._replace(labels={"process": process, **sample.labels}) for sample in family.samples]
    return generate_latest(_Families(families.values()))


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _session(socket: Path) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        "http://member", connector=aiohttp.UnixConnector(str(socket)), timeout=aiohttp.ClientTimeout(total=ASK_SECONDS)
    )


async def _ask(session: aiohttp.ClientSession, path: str) -> Answer:
    try:
        async with session.get(path) as answer:
            return Answer(status=answer.status, body=await answer.read())
    except TimeoutError:
        return Answer(silent=True)
    except aiohttp.ClientError:  # it is starting, or has just died
        return Answer()


def _checks(answers: Mapping[str, Answer]) -> JsonObject:
    """As one process tells them, with the member's name before each."""
    checks: dict[str, bool] = {}
    reasons: dict[str, str] = {}
    paused: list[str] = []
    away: list[str] = []
    held: dict[str, str] = {}
    stale: list[str] = []
    for name, answer in answers.items():
        told = orjson.loads(answer.body) if answer.body else None
        if told is None:
            checks[name] = False
            continue
        reasons |= {f"{name}.{check}": why for check, why in told.pop("reasons", {}).items()}
        paused += [f"{name}.{loop}" for loop in told.pop("paused", [])]
        away += [f"{name}.{loop}" for loop in told.pop("away", [])]
        held |= {f"{name}.{what}": word for what, word in told.pop("held", {}).items()}
        stale += [f"{name}: {why}"] if (why := told.pop("stale", "")) else []
        checks |= {f"{name}.{check}": passed for check, passed in told.items()}
    return {
        **checks,
        **({"reasons": reasons} if reasons else {}),
        **({"paused": paused} if paused else {}),
        **({"away": away} if away else {}),
        **({"held": held} if held else {}),
        **({"stale": "; ".join(stale)} if stale else {}),
    }
