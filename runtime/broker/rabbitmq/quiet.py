"""Keeps message bodies out of the logs of the AMQP client.

aiormq logs a returned message with its body at ERROR, and every frame at DEBUG (7.2.4, `channel.py` and
`connection.py`); bodies hold phone numbers.
"""

from __future__ import annotations

import logging
from typing import Any, Final

_FAMILIES: Final = ("aiormq", "aio_pika", "pamqp")
# A filter acts only on its own logger, never on its children: each one that logs is named (aiormq 7.2.4).
_LOGGERS: Final = ("aiormq.channel", "aiormq.connection", "aiormq.connection.marshall")
_LOGGED_BY_US: Final = frozenset(
    {
        "error when creating transport: %r",  # an ERROR at each try; broker.unreachable says it once
        "Connection %r was blocked by: %r",  # broker.blocked
        "Connection %r was unblocked",  # broker.unblocked
        "Consumer %r cancelled by the broker on %r",  # broker.consumer_lost
        'Unexpected connection close from remote "%s", Connection.Close(reply_code=%r, reply_text=%r)',  # unreachable
    }
)


class WithoutBodies(logging.Filter):
    """Lets numbers, texts and connection errors through and tells of anything else only its type."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; it is dropped only where our own log tells the same."""
        if record.msg in _LOGGED_BY_US:
            return False
        if isinstance(record.args, tuple):
            record.args = tuple(_without_body(argument) for argument in record.args)
        elif record.args:
            record.args = {key: _without_body(value) for key, value in record.args.items()}
        if record.exc_info:
            # InvalidFrameError and its like carry the bytes of the frame in their text.
            record.msg = f"{record.msg} ({_exception_name(record.exc_info)})"
            record.exc_info = None
            record.exc_text = None
        return True


def hush() -> None:
    """Install the filter on the client's loggers, and keep them at INFO or above whatever the root says. Idempotent.

    The level is for speed: at DEBUG each frame is formatted (docs/notes/amqp.md trap 19).
    """
    for name in (*_FAMILIES, *_LOGGERS, *_existing_children()):
        logger = logging.getLogger(name)
        if not any(isinstance(known, WithoutBodies) for known in logger.filters):
            logger.addFilter(WithoutBodies())
    for name in _FAMILIES:
        logger = logging.getLogger(name)
        if logger.level < logging.INFO:
            logger.setLevel(logging.INFO)


def _existing_children() -> list[str]:
    prefixes = tuple(f"{family}." for family in _FAMILIES)
    return [name for name in logging.root.manager.loggerDict if name.startswith(prefixes)]


def _without_body(argument: Any) -> Any:
    if argument is None or isinstance(argument, str | int | float | OSError):
        return argument
    return f"<{type(argument).__name__}>"


def _exception_name(exc_info: Any) -> str:
    return exc_info[0].__name__ if exc_info[0] else "no exception"
