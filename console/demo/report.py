"""What the demo shows: each kind of call, one call's timeline, the ledger, and where the evidence is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from console.moments import shown
from console.screen import Screen, aligned, packed, wrapped
from schemas.envelope import JsonObject
from schemas.masking import mask_number

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


def show_calls(out: Screen, records: Mapping[str, JsonObject], zone: ZoneInfo) -> None:
    """How many calls there are of each source, product and mode, and the last one of it."""
    out.print(f"{len(records)} calls: how many of each kind, and the last one of it")
    out.print(f"(numbers masked, times in {zone})")
    counts = Counter(map(kind_of, records.values()))
    for kind, record in last_of_each_kind(records.values()).items():
        out.print(packed([f"{counts[kind]:4}", " ".join(filter(None, kind)), *_end_of(record, zone)]))
        out.print(packed([_way_of(record), *_more_of(record)], indent=" " * 6))


def _end_of(record: JsonObject, zone: ZoneInfo) -> Iterator[str]:
    yield record["outcome"]
    if record["ended_at"]:
        yield f"ended {shown(record['ended_at'], zone)}"


def _way_of(record: JsonObject) -> str:
    """From whom through which number to whom."""
    numbers = (record[name] for name in ("caller", "private_number", "callee"))
    return " > ".join(mask_number(number) for number in numbers if number)


def _more_of(record: JsonObject) -> Iterator[str]:
    for name, what in (("ring_seconds", "rang"), ("talk_seconds", "talked")):
        if record[name]:
            yield f"{what} {record[name]} s"
    yield f"revision {record['revision']}"
    if record["decision"]:
        yield f"decided: {record['decision']['action']}"
    if record["recordings"]:
        yield f"recording {', '.join(row['state'] for row in record['recordings'])}"


def kind_of(record: JsonObject) -> Kind:
    """Source, product and mode of a call; empty where the record says none."""
    return (record["source"], record["product"] or "", record["mode"] or "")


def last_of_each_kind(records: Iterable[JsonObject]) -> dict[Kind, JsonObject]:
    """The call of each kind that ended last, kinds in alphabetical order, whatever the order of the records."""
    by_end = sorted(records, key=lambda record: (record["ended_at"] or "", record["id"]))
    last = {kind_of(record): record for record in by_end}
    return dict(sorted(last.items()))


def show_sources(out: Screen, records: Mapping[str, JsonObject], ledger: JsonObject) -> None:
    """What each platform sent, and how many of its calls were answered."""
    rows = [("source", "calls", "answered", "posts answered 200", "items in them", "questions")]
    for source, sent in ledger["platform"].get("sources", {}).items():
        answered = sum(record["answered"] for record in records.values() if record["source"] == source)
        counts = (sent["calls"], answered, sent["posts_200"], sent["items_accepted"], sent["questions"])
        rows.append((source, *map(_count, counts)))
    _print_table(out, "what each platform sent", rows)


def show_timeline(out: Screen, events: Iterable[JsonObject], zone: ZoneInfo) -> None:
    """One call's story: what the platform told, and what was published about it."""
    about = _one_call(events)
    if not about:
        return
    last = about[-1]
    out.print("\n" + wrapped(f"one call: {last['subject']}"))
    for entry in last["data"]["call"]["timeline"]:
        out.print(f"  {shown(entry['at'], zone):<19}  {entry['type']:<9} {_between(entry)}".rstrip())
    for event in about:
        what = event["type"].removeprefix("callstitch.").removesuffix(".v1")
        out.print(f"  revision {event['revision']}: {what}")


def _between(entry: JsonObject) -> str:
    return " > ".join(mask_number(entry[name]) for name in ("caller", "callee") if entry[name] and entry["callee"])


def _one_call(events: Iterable[JsonObject]) -> list[JsonObject]:
    """Each revision of one call: the last whose recording was stored, else the last of all."""
    revisions = {event["id"]: event for event in events if "call" in event["data"] and "revision" in event}
    stored = [event for event in revisions.values() if event["type"] == "callstitch.recording.stored.v1"]
    subjects = [event["subject"] for event in stored or revisions.values()]
    about = [event for event in revisions.values() if event["subject"] == subjects[-1]]
    return sorted(about, key=lambda event: event["revision"])


def show_ledger(out: Screen, ledger: JsonObject) -> None:
    """Both sides of the books, then the verdict."""
    _print_table(out, "the ledger: the platforms' truth, and what became of it", list(_books(ledger)))
    for difference in ledger["differences"][:SHOWN_DIFFERENCES]:
        out.print(wrapped(" ".join(["WRONG", *str(difference).split()]), indent="  "))
    more = len(ledger["differences"]) - SHOWN_DIFFERENCES
    if more > 0:
        out.print(f"  ... and {more} more")
    verdict = (
        "the ledger balances: nothing lost, doubled or wrong"
        if ledger["balanced"]
        else f"{len(ledger['differences'])} difference(s)"
    )
    out.print(f"\n{verdict} ({ledger['seconds']} s)", style="bold green" if ledger["balanced"] else "bold red")


def _books(ledger: JsonObject) -> Iterator[tuple[str, str, str]]:
    theirs, ours, events = ledger["platform"], ledger["ours"], ledger["events"]
    yield "what is compared", "expected", "found"
    yield "posts answered 200 / receipts", _count(theirs.get("posts_200")), _count(ours["receipts"])
    yield "items accepted / accounted for", _count(theirs.get("items_accepted")), _count(ours["items"])
    distinct = ours["unique"] + ours["amended"]
    yield "distinct items", _count(theirs.get("distinct_items_accepted")), _count(distinct)
    yield "duplicates dropped", _count(theirs.get("duplicates")), _count(ours["duplicate"])
    played = theirs.get("calls", 0) + theirs.get("messages", 0)
    yield "calls and SMS / sessions", _count(played), _count(ours["sessions"])
    yield "events made / delivered", _count(events["made"]), _count(events["delivered"])
    yield "questions / decided", _count(theirs.get("questions")), _count(events["decided"])
    for box, count in ledger["parked"].items():
        yield box, "0", _count(count)


def _print_table(out: Screen, title: str, rows: Sequence[Sequence[str]]) -> None:
    out.print(f"\n{title}")
    for line in aligned(rows, right=range(1, len(rows[0]))):
        out.print(line)


def show_evidence(out: Screen, directory: Path, events: Iterable[JsonObject]) -> None:
    """Where everything lies that this run leaves behind, and what to do next."""
    out.print(f"\nthe evidence, in {directory}/")
    for name, what in EVIDENCE.items():
        out.print(f"  {name:<12} {what}")
    out.print("next:")
    if about := _one_call(events):
        out.print(f"  {COMMAND} trace --config {directory}/config.toml \\\n    {about[-1]['subject']}")
        out.print("      everything known about that one call")
    out.print(f'  {COMMAND} up\n      run it for yourself; README.md, "Five minutes", goes on from there')


def _count(value: object) -> str:
    return "-" if value is None else str(value)
