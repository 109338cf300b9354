"""What a run tells: a table of faults and recoveries, what is wrong, and one line that sums it up."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.table import Table

from tests.chaos.consumer import NAME
from tests.chaos.kit import Result
from tests.chaos.recovery import Row

SHOWN: Final = 20


def show(out: Console, result: Result) -> None:
    """Print it all."""
    out.print(_faults(result))
    out.print(_counts(result))
    for note in result.slow_drains:
        out.print(f"  slow: {note}", markup=False)
    if result.unplayed:
        out.print(f"  no time for: {', '.join(result.unplayed)}", markup=False, highlight=False)
    wrong = [*result.findings.all(), *result.exits, *result.unseen]
    for sentence in wrong[:SHOWN]:
        out.print(f"  WRONG {sentence}", markup=False, highlight=False)
    if len(wrong) > SHOWN:
        out.print(f"  ... and {len(wrong) - SHOWN} more")
    out.print(summary(result), style="bold green" if result.passed else "bold red", markup=False, highlight=False)


def summary(result: Result) -> str:
    """One line."""
    found, end = result.findings, result.sent.end or {}
    counts = (
        f"lost {len(found.lost)}, wrong {len(found.wrong)}, two bodies {len(found.two_bodies)},"
        f" completed twice {len(found.completed_twice)}, parked {len(found.parked)},"
        f" webhook {len(found.webhook)}, not drained {len(found.not_drained)}, exits {len(result.exits)},"
        f" unseen {len(result.unseen)}"
    )
    seconds = result.settings.seconds
    played = (
        f"{end.get('calls', '?')} calls, {result.sent.notifications} notifications, {result.recoveries.faults} faults"
        f" in {seconds:g} s, {result.silence:.1f} s without any event at most;"
        f" answered 200 meanwhile {result.under_fire / seconds:.0f}/s, all after"
        f" {result.play_seconds:.0f} s, drained {result.drain_seconds:.0f} s later; seed {result.settings.seed}"
    )
    return f"chaos: {counts} ({played})"


def _faults(result: Result) -> Table:
    table = Table("fault", "times", "seen", "work flowed again after: least", "median", "most", box=None)
    for row in result.recoveries.rows():
        seen = "; ".join(f"{what} ({times})" for what, times in result.seen.get(row.label, {}).items())
        table.add_row(row.label, str(row.hits), seen, *_spread(row))
    return table


def _spread(row: Row) -> tuple[str, str, str]:
    if not row.seconds:
        return "-", "-", "-"
    least, median, most = row.seconds[0], row.seconds[len(row.seconds) // 2], row.seconds[-1]
    return f"{least:.1f} s", f"{median:.1f} s", f"{most:.1f} s"


def _full(result: Result) -> int:
    log = result.settings.directory / f"feed.{NAME}.log"
    return log.read_text().count('"queue.full"') if log.exists() else 0


def _counts(result: Result) -> Table:
    end, receiver, events = result.sent.end or {}, result.receiver, result.events
    accepted = receiver.accepted.total()
    table = Table("counted", "", box=None)
    for name, value in {
        "pushes answered 200": end.get("posts_200"),
        "attempts refused / without an answer": f"{end.get('attempts_refused')} / {end.get('attempts_unanswered')}",
        "pushes given up by the platform": end.get("posts_given_up"),
        "notifications sent again by the platform": end.get("duplicates"),
        "events": len(events.digests),
        "extra deliveries to the file": events.lines - len(events.digests),
        "webhook requests / refused": f"{receiver.requests} / {receiver.refused}",
        "extra deliveries to the webhook": accepted - len(receiver.accepted),
        "times that the narrow queue was full": _full(result),
        "starts refused because something was away": result.refused_starts,
    }.items():
        table.add_row(name, str(value))
    return table
