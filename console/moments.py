"""Times on the operator's screen: one format, in one zone that the screen names; data stays in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

DEFAULT_ZONE: Final = ZoneInfo("Asia/Shanghai")  # of the platforms, whose days the reports are about
_FORMAT: Final = "%Y-%m-%d %H:%M:%S"


def _zone(name: str | ZoneInfo) -> ZoneInfo:
    if isinstance(name, ZoneInfo):
        return name
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise typer.BadParameter("a time zone looks like Asia/Shanghai, Europe/Berlin or UTC") from None


def _moment(text: str | datetime) -> datetime:
    if isinstance(text, datetime):
        return text
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("a time looks like 2026-01-31, 2026-01-31T08:00 or 2026-01-31T00:00:00Z") from None


ZoneOption = Annotated[
    ZoneInfo,
    typer.Option(
        "--tz", metavar="ZONE", parser=_zone, envvar="CALLSTITCH_TZ", help="Time zone of the times shown and given."
    ),
]


def moment_option(help_text: str) -> Any:
    """An option that takes a time, with its zone or, for the zone of the screen, without: see `in_utc`."""
    return typer.Option(metavar="TIME", parser=_moment, help=help_text)


def in_utc(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    """A time that was given, in UTC; one without a zone is meant in `zone`."""
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def in_json(moment: datetime | str | None) -> str | None:
    """`2026-01-31T00:00:00Z`, as data has it wherever it goes out; None for none."""
    if moment is None:
        return None
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def shown(moment: datetime | str | None, zone: ZoneInfo) -> str:
    """`2026-01-31 08:00:00` in `zone`; `-` for none. Text is RFC 3339, as data has it."""
    if moment is None:
        return "-"
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{at.astimezone(zone):{_FORMAT}}"
