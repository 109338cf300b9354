"""What the demo shows: the last calls, one call's timeline, and the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from rich.console import Console
from rich.table import Table

from schemas.envelope import JsonObject
from schemas.masking import mask_shortly

LAST_CALLS: Final = 4
SHOWN_DIFFERENCES: Final = 10


def show_calls(out: Console, records: Mapping[str, JsonObject]) -> None:
    """The last calls of each source, one a line."""
    table = Table("source", "product", "mode", "ended", "caller", "private", "callee", "outcome", "ring s", "talk s",
                  "rev", "decided", "recording", title=f"the last of {len(records)} calls", box=None)  # fmt: skip
    for record in _last_of_each(records.values()):
        recordings = ", ".join(row["state"] for row in record["recordings"]) or "-"
        table.add_row(
            record["source"],
            record["product"] or "-",
            record["mode"] or "-",
            _clock(record["ended_at"]),
            *(_number(record[name]) for name in ("caller", "private_number", "callee")),
            record["outcome"],
            *(_count(record[name]) for name in ("ring_seconds", "talk_seconds", "revision")),
            (record["decision"] or {}).get("action", "-"),
            recordings,
        )
    out.print(table)


def _last_of_each(records: Iterable[JsonObject]) -> Iterator[JsonObject]:
    by_source: dict[str, list[JsonObject]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record["ended_at"] or ""):
        by_source[record["source"]].append(record)
    for source in sorted(by_source):
        yield from by_source[source][-LAST_CALLS:]


def show_sources(out: Console, records: Mapping[str, JsonObject], ledger: JsonObject) -> None:
    """What each platform sent, and how its calls ended."""
    table = Table("source", "calls", "posts", "items", "questions", "answered", "modes and products",
                  title="", box=None)  # fmt: skip
    for source, sent in ledger["platform"].get("sources", {}).items():
        its = [record for record in records.values() if record["source"] == source]
        kinds = sorted({record["mode"] or record["product"] or "-" for record in its})
        counts = [sent["calls"], sent["posts_200"], sent["items_accepted"], sent["questions"]]
        answered = sum(record["answered"] for record in its)
        table.add_row(source, *map(_count, counts), _count(answered), " ".join(kinds))
    out.print(table)


def show_timeline(out: Console, events: list[JsonObject]) -> None:
    """One call's story: what the platform told, and what was published about it."""
    told = [event for event in events if event["type"] == "callstitch.recording.stored.v1"] or events
    if not told:
        return
    subject = told[-1]["subject"]
    about = {event["id"]: event for event in events if event["subject"] == subject}
    last = max(about.values(), key=lambda event: event.get("revision", 0))
    out.print(f"\none call: {subject}", markup=False, highlight=False)
    for entry in last["data"]["call"]["timeline"]:
        numbers = f"{_number(entry['caller'])} -> {_number(entry['callee'])}" if entry["callee"] else ""
        out.print(f"  {_clock(entry['at'])}  {entry['type']:<9} {numbers}", markup=False, highlight=False)
    for event in sorted(about.values(), key=lambda event: event["revision"]):
        what = event["type"].removeprefix("callstitch.").removesuffix(".v1")
        out.print(f"  revision {event['revision']}: {what}", markup=False, highlight=False)


def show_ledger(out: Console, ledger: JsonObject) -> None:
    """Both sides of the books, then the verdict."""
    theirs, ours, events = ledger["platform"], ledger["ours"], ledger["events"]
    table = Table("ledger", "the platform's truth", "ours", title="", box=None)
    table.add_row("posts answered 200 / receipts", _count(theirs.get("posts_200")), _count(ours["receipts"]))
    table.add_row("items accepted / accounted for", _count(theirs.get("items_accepted")), _count(ours["items"]))
    distinct = ours["unique"] + ours["amended"]
    table.add_row("distinct items", _count(theirs.get("distinct_items_accepted")), _count(distinct))
    table.add_row("duplicates dropped", _count(theirs.get("duplicates")), _count(ours["duplicate"]))
    played = theirs.get("calls", 0) + theirs.get("messages", 0)
    table.add_row("calls and SMS / sessions", _count(played), _count(ours["sessions"]))
    table.add_row("events made / delivered", _count(events["made"]), _count(events["delivered"]))
    table.add_row("questions / decided", _count(theirs.get("questions")), _count(events["decided"]))
    for box, count in ledger["parked"].items():
        table.add_row(box, "0", _count(count))
    out.print(table)
    for difference in ledger["differences"][:SHOWN_DIFFERENCES]:
        out.print(f"  WRONG {difference}", markup=False, highlight=False)
    more = len(ledger["differences"]) - SHOWN_DIFFERENCES
    if more > 0:
        out.print(f"  ... and {more} more in var/demo/ledger.json")
    verdict = "the ledger balances" if ledger["balanced"] else f"{len(ledger['differences'])} difference(s)"
    out.print(f"\n{verdict} ({ledger['seconds']} s)", style="bold green" if ledger["balanced"] else "bold red")


def _clock(moment: str | None) -> str:
    return f"{datetime.fromisoformat(moment):%H:%M:%S}" if moment else "-"


def _number(number: str | None) -> str:
    return mask_shortly(number) if number else "-"


def _count(value: object) -> str:
    return "-" if value is None else str(value)
