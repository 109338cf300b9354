"""Logs: one wide line for each unit of work, as JSON or for a terminal; numbers are masked in one place, the last."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import orjson
import structlog

from runtime.verdict import reason_of
from schemas.masking import masked, masked_id

_PLAIN: Final = frozenset({"timestamp", "id"})  # none of them spells a number, whatever it looks like
_IDS: Final = frozenset({"call"})  # of which platforms may have made them


def configure_logs(*, json: bool, level: int = logging.INFO) -> None:
    """Set up structlog and the standard library's logging for this process.

    The AMQP client's loggers never go below INFO: their DEBUG lines hold bodies (docs/notes/amqp.md trap 19).
    """
    renderer: Any = structlog.processors.JSONRenderer(_dumps) if json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _mask,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_ToStructlog()], level=logging.WARNING, force=True)
    for name in ("aiormq", "aio_pika", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _dumps(row: Any, **_: Any) -> str:
    return orjson.dumps(row, default=str).decode()


def _mask(_: Any, __: str, row: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {
        key: value if key in _PLAIN else masked_id(str(value)) if key in _IDS else _masked(value)
        for key, value in row.items()
    }


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
