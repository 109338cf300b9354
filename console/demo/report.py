"""What the demo shows: the last call of each kind, one call's timeline, the ledger, and where the evidence lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from schemas.envelope import JsonObject
from schemas.masking import mask_shortly

SHOWN_DIFFERENCES: Final = 10
COMMAND: Final = ".venv/bin/callstitch"
EVIDENCE: Final = {
    "calls.jsonl": "the events as a team would read them, one a line",
    "sent.jsonl": "what the platforms know that they sent: the truth of this check",
    "ledger.json": "this ledger, every difference named",
    "recordings/": "the audio that was fetched",
    "config.toml": "the config of this run",
    "up.log": "the pipeline's log",
}

Kind = tuple[str, str, str]


def show_calls(out: Console, records: Mapping[str, JsonObject]) -> None:
    """How many calls there are of each source, product and mode, and the last one of it."""
    table = Table("source", "product", "mode", "calls", "ended", "caller", "private", "callee", "outcome", "ring s",
                  "talk s", "rev", "decided", "recording", title=f"{len(records)} calls: how many of each kind, and "
                  "the last one (UTC, numbers masked)", title_justify="left", box=None)  # fmt: skip
    counts = Counter(map(kind_of, records.values()))
    for kind, record in last_of_each_kind(records.values()).items():
        recordings = ", ".join(row["state"] for row in record["recordings"]) or "-"
        table.add_row(
            *(name or "-" for name in kind),
            _count(counts[kind]),
            _clock(record["ended_at"]),
            *(_number(record[name]) for name in ("caller", "private_number", "callee")),
            record["outcome"],
            *(_count(record[name]) for name in ("ring_seconds", "talk_seconds", "revision")),
            (record["decision"] or {}).get("action", "-"),
            recordings,
        )
    out.print(table)


def kind_of(record: JsonObject) -> Kind:
    """Source, product and mode of a call; empty where the record says none."""
    return (record["source"], record["product"] or "", record["mode"] or "")


def last_of_each_kind(records: Iterable[JsonObject]) -> dict[Kind, JsonObject]:
    """The call of each kind that ended last, kinds in alphabetical order, whatever the order of the records."""
    by_end = sorted(records, key=lambda record: (record["ended_at"] or "", record["id"]))
    last = {kind_of(record): record for record in by_end}
    return dict(sorted(last.items()))


def show_sources(out: Console, records: Mapping[str, JsonObject], ledger: JsonObject) -> None:
    """What each platform sent, and how many of its calls were answered."""
    table = Table("source", "calls", "calls answered", "posts answered 200", "items in them", "questions",
                  title="\nwhat each platform sent", title_justify="left", box=None)  # fmt: skip
    for source, sent in ledger["platform"].get("sources", {}).items():
        answered = sum(record["answered"] for record in records.values() if record["source"] == source)
        counts = (sent["calls"], answered, sent["posts_200"], sent["items_accepted"], sent["questions"])
        table.add_row(source, *map(_count, counts))
    out.print(table)


def show_timeline(out: Console, events: Iterable[JsonObject]) -> None:
    """One call's story: what the platform told, and what was published about it."""
    about = _one_call(events)
    if not about:
        return
    last = about[-1]
    out.print(f"\none call: {last['subject']}", markup=False, highlight=False)
    for entry in last["data"]["call"]["timeline"]:
        numbers = f"{_number(entry['caller'])} -> {_number(entry['callee'])}" if entry["callee"] else ""
        out.print(f"  {_clock(entry['at'])}  {entry['type']:<9} {numbers}", markup=False, highlight=False)
    for event in about:
        what = event["type"].removeprefix("callstitch.").removesuffix(".v1")
        out.print(f"  revision {event['revision']}: {what}", markup=False, highlight=False)


def _one_call(events: Iterable[JsonObject]) -> list[JsonObject]:
    """Each revision of one call: the last whose recording was stored, else the last of all."""
    revisions = {event["id"]: event for event in events if "call" in event["data"] and "revision" in event}
    stored = [event for event in revisions.values() if event["type"] == "callstitch.recording.stored.v1"]
    subjects = [event["subject"] for event in stored or revisions.values()]
    about = [event for event in revisions.values() if event["subject"] == subjects[-1]]
    return sorted(about, key=lambda event: event["revision"])


def show_ledger(out: Console, ledger: JsonObject) -> None:
    """Both sides of the books, then the verdict."""
    theirs, ours, events = ledger["platform"], ledger["ours"], ledger["events"]
    table = Table("what is compared", "expected", "found", title="\nthe ledger: the platforms' truth, and what became "
                  "of it", title_justify="left", box=None)  # fmt: skip
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
        out.print(f"  ... and {more} more")
    verdict = (
        "the ledger balances: nothing lost, doubled or wrong"
        if ledger["balanced"]
        else f"{len(ledger['differences'])} difference(s)"
    )
    out.print(f"\n{verdict} ({ledger['seconds']} s)", style="bold green" if ledger["balanced"] else "bold red")


def show_evidence(out: Console, directory: Path, events: Iterable[JsonObject]) -> None:
    """Where everything lies that this run leaves behind, and what to do next."""
    out.print(f"\nthe evidence, in {directory}/", markup=False, highlight=False)
    for name, what in EVIDENCE.items():
        out.print(f"  {name:<12} {what}", markup=False, highlight=False)
    steps = {f"{COMMAND} up": 'run it for yourself; README.md, "Five minutes", goes on from there'}
    if about := _one_call(events):
        one = f"{COMMAND} trace --config {directory}/config.toml {about[-1]['subject']}"
        steps = {one: "everything known about that one call"} | steps
    out.print("next:", markup=False, highlight=False)
    for command, what in steps.items():
        out.print(f"  {command}\n      {what}", markup=False, highlight=False)


def _clock(moment: str | None) -> str:
    return f"{datetime.fromisoformat(moment):%H:%M:%S}" if moment else "-"


def _number(number: str | None) -> str:
    return mask_shortly(number) if number else "-"


def _count(value: object) -> str:
    return "-" if value is None else str(value)
