"""Logs: one wide line for each unit of work, as JSON or for a terminal; numbers are masked in one place, the last."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog

from runtime.verdict import reason_of
from schemas.masking import masked, masked_id
from schemas.shown import shown, shown_lines

WINDOW_SECONDS: Final = 1.0
# Lines that come as fast as a stranger or an outage makes them, with what makes two of them equal.
FLOODING: Final[Mapping[str, tuple[str, ...]]] = {
    "broker.consumer_lost": ("queue", "reason"),
    "broker.publisher_lost": ("reason",),
    "broker.question_not_asked": ("reason",),
    "broker.unreachable": ("reason",),
    "door.refused": ("source", "status", "reason"),
    "foreign.logged": ("logger", "message"),
    "port.connections_full": ("port", "too_many"),
    "publish.unconfirmed": ("stage", "reason"),
    "publish.unroutable": ("stage", "route"),
    "question.bad_answer": ("source",),
    "question.not_answered": ("stage", "reason"),
    "question.not_asked": ("source", "reason"),
    "question.not_stored": ("source", "what"),
    "question.unreadable": (),
    "question.waits_for_storage": ("source", "what"),
    "stage.held": ("stage", "reason"),
    "stage.mark_failed": ("stage", "error"),
    "stage.tick_failed": ("stage", "reason"),
    "stage.tick_held": ("stage", "reason"),
}
_DIGITS: Final = re.compile(r"0x[0-9a-f]+|\d+")
_MOST_KINDS: Final = 1000

_PLAIN: Final = frozenset({"timestamp", "id"})  # none of them spells a number, whatever it looks like
_IDS: Final = frozenset({"call"})  # of which platforms may have made them


def configure_logs(*, json: bool, level: int = logging.INFO, waiting: bool = False) -> None:
    """Set up structlog and the standard library's logging for this process.

    `waiting`: somebody waits at a terminal for a command; then what it waits for is told in a sentence, once.
    The AMQP client's loggers never go below INFO: their DEBUG lines hold bodies (docs/notes/amqp.md trap 19).
    """
    renderer: Any = structlog.processors.JSONRenderer(_dumps) if json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            OncePerSecond(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _mask,
            *([] if json else [_printable]),
            *([_Sentences(renderer)] if waiting else [renderer]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # a line in one write: processes share the stream
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_ToStructlog()], level=logging.WARNING, force=True)
    for name in ("aiormq", "aio_pika", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _dumps(row: Any, **_: Any) -> str:
    return orjson.dumps(row, default=str).decode()


class OncePerSecond:
    """Lets one line of a kind through each second; the next one tells by `times` how many it stands for.

    A kind is an event of FLOODING with equal fields, numbers in them aside.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, ...], _Seen] = {}

    def __call__(self, _: Any, method: str, row: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Called by structlog."""
        fields = FLOODING.get(row["event"])
        if fields is None or "times" in row:
            return row
        kind = (row["event"], *(_DIGITS.sub("#", str(row.get(field, ""))) for field in fields))
        now, seen = self._clock(), self._seen.get(kind)
        if seen is None:
            if len(self._seen) >= _MOST_KINDS:
                self._seen.clear()
            self._seen[kind] = _Seen(since=now)
            self._look_again(kind)
            return row
        seen.times += 1
        if now - seen.since < WINDOW_SECONDS:
            seen.method, seen.row = method, dict(row)
            raise structlog.DropEvent
        times, seen.times, seen.since = seen.times, 0, now
        return {**row, "times": times}

    def _look_again(self, kind: tuple[str, ...]) -> None:
        """Where no loop runs, the next line of the kind tells of those before."""
        with suppress(RuntimeError):
            asyncio.get_running_loop().call_later(WINDOW_SECONDS, self._tell_rest, kind)

    def _tell_rest(self, kind: tuple[str, ...]) -> None:
        seen = self._seen.get(kind)
        if seen is None:
            return
        if not seen.times:
            del self._seen[kind]
            return
        row, times = seen.row, seen.times
        seen.times, seen.since = 0, self._clock()
        self._look_again(kind)
        event = row.pop("event")
        row.pop("level", None)
        level = logging.getLevelNamesMapping()[seen.method.upper()]
        structlog.get_logger().log(level, event, **{**row, "times": times})


@dataclass(slots=True)
class _Seen:
    """A kind that was told lately; `row` is the last of the `times` that were not."""

    since: float
    times: int = 0
    method: str = "warning"
    row: dict[str, Any] = field(default_factory=dict)


class _Sentences:
    """Tells that the broker is away in a sentence, once for each reason; all else as ever."""

    def __init__(self, renderer: Any) -> None:
        self._renderer = renderer
        self._told: set[str] = set()

    def __call__(self, logger: Any, method: str, row: MutableMapping[str, Any]) -> Any:
        """Called by structlog."""
        if row["event"] != "broker.unreachable":
            return self._renderer(logger, method, row)
        reason = str(row.get("reason", ""))
        if reason in self._told:
            raise structlog.DropEvent
        self._told.add(reason)
        return f"callstitch: waiting for the broker: {reason}"


def _mask(_: Any, __: str, row: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {
        key: value if key in _PLAIN else masked_id(str(value)) if key in _IDS else _masked(value)
        for key, value in row.items()
    }


def _printable(_: Any, __: str, row: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """On a terminal nothing is obeyed that a platform sent; JSON escapes by itself. A traceback keeps its lines."""
    texts = {key: value for key, value in row.items() if isinstance(value, str)}
    return {**row, **{key: (shown_lines if key == "exception" else shown)(text) for key, text in texts.items()}}


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_masked(item) for item in value]
    return value


class _ToStructlog(logging.Handler):
    """Foreign log lines take the same way, so that they are masked too; of an exception only type and place."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        reason = {"reason": reason_of(error)} if isinstance(error, Exception) else {}
        log = structlog.get_logger()
        log.log(record.levelno, "foreign.logged", logger=record.name, message=record.getMessage(), **reason)
