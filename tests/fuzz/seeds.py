"""What pushes are made of: the platforms' own samples, and what was recorded of them (tests/compat)."""

from __future__ import annotations

import json
import tomllib
from functools import cache
from typing import Any, Final

from schemas.dialect.dialect import AnyDialect
from schemas.notification import Notification
from tests.building.damage import places
from tests.building.pushes import a_push
from tests.compat.recorded import CONFIG, Push, read_pushes
from tests.contracts.platforms import known

MOST_BYTES: Final = 16 * 1024  # of a seed; what is recorded larger was made large


@cache
def seeds(dialect: AnyDialect) -> list[Notification]:
    """One of each shape, in an order that never changes."""
    platforms = {row["name"]: row["platform"] for row in tomllib.loads(CONFIG.read_text())["source"]}
    recorded = [_notification(push) for push in read_pushes() if platforms.get(push.source) == dialect.name]
    found = [*(a_push(body) for body in known(dialect).values()), *recorded]
    small = [push for push in found if len(push.body) <= MOST_BYTES]
    return list({_shape(push): push for push in small}.values())


def json_of(push: Notification) -> Any:
    """Its body as JSON; None where it is none, or has no place to bend."""
    try:
        body = json.loads(push.body)
    except (ValueError, RecursionError):
        return None
    return body if places(body) else None


def _notification(push: Push) -> Notification:
    return Notification(
        path=push.path, remote="192.0.2.1", content_type=push.content_type, headers=push.headers, body=push.body
    )


def _shape(push: Notification) -> str:
    """Where it goes and which fields it has, whatever stands in them."""
    body = json_of(push)
    fields = push.body.hex() if body is None else repr([key for _, key in places(body)])
    return f"{push.path.partition('?')[0]} {push.content_type} {fields}"
