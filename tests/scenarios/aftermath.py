"""The check after crashes: what a consumer reads and what the store counted, against what the platform pushed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from console.demo.check import Truth, faults
from console.reading import ask_store
from schemas.settings.addresses import store_address
from tests.building.reading import all_totals, parked_by_box
from tests.e2e.running import Up
from tests.scenarios.traffic import Platform, Round


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """Everything about one `up` that must hold once it has recovered; `store` is its store's URL."""

    up: Up
    store: str
    rounds: Sequence[Round]
    platform: Platform

    def wait_until_balanced(self, seconds: float) -> None:
        """Return once nothing differs any more; fails with every difference after `seconds`."""
        left: list[str] = []

        def balanced() -> bool:
            left[:] = self.differences()
            return not left

        try:
            self.up.wait_for(balanced, seconds)
        except AssertionError as late:
            raise AssertionError("\n".join([*left[:20], str(late)])) from None

    def differences(self) -> list[str]:
        """Everything that is not as it must be, one sentence each; the store is asked once the events are right."""
        found = [*self._wrong_events()]
        return found or [*self._unsettled(), *self._parked(), *self._miscounted(), *self._wrong_audio()]

    def deliveries(self, round_: Round) -> Counter[str]:
        """How often each event about the marked call was delivered, by id."""
        call = f"huawei:{round_.recorded.session_id}"
        return Counter(event["id"] for event in self.up.events() if event["subject"] == call)

    def _wrong_events(self) -> Iterator[str]:
        truth = Truth(calls=dict(line for one in self.rounds for line in one.truth()), end=None)
        events = self.up.events()
        yield from faults(truth, events)
        told: defaultdict[str, set[str]] = defaultdict(set)
        for event in events:
            told[f"{event['type']} {event['subject']}"].add(event["id"])
        for wanted in self._told_once():
            if len(told[wanted]) != 1:
                yield f"{wanted}: {len(told[wanted])} event(s) of that type, where there is one to tell"
        bodies: defaultdict[str, set[bytes]] = defaultdict(set)
        for line in self._lines():
            bodies[json.loads(line)["id"]].add(line)
        yield from (f"{event_id} came in {len(said)} bodies" for event_id, said in bodies.items() if len(said) > 1)

    def _told_once(self) -> Iterator[str]:
        for one in self.rounds:
            for call in one.calls:
                yield f"callstitch.call.completed.v1 huawei:{call.session_id}"
            yield f"callstitch.call.amended.v1 huawei:{one.corrected.session_id}"
            yield f"callstitch.recording.stored.v1 huawei:{one.recorded.session_id}"

    def _lines(self) -> list[bytes]:
        file = self.up.directory / "calls.jsonl"
        return [line for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]

    def _unsettled(self) -> Iterator[str]:
        if due := ask_store(store_address(self.store), lambda reads: reads.due()):
            yield f"{due} session(s) are due"
        for route, counts in ask_store(store_address(self.store), lambda reads: reads.events()).items():
            if counts["made"] != counts["sent"]:
                yield f"{route}: {counts['made']} made, {counts['sent']} marked as sent"
        made = ask_store(store_address(self.store), lambda reads: reads.event_ids())
        if undelivered := made - {event["id"] for event in self.up.events()}:
            yield f"{len(undelivered)} event(s) were made and not delivered"

    def _parked(self) -> Iterator[str]:
        for box, groups in ask_store(store_address(self.store), parked_by_box).items():
            yield from (f"in {box}: {group['count']} x {group['reason']}" for group in groups)

    def _miscounted(self) -> Iterator[str]:
        """A push that was not answered may have been stored: only for those are receipts left open."""
        counts = ask_store(store_address(self.store), all_totals)
        posts = [post for one in self.rounds for post in (*one.first(), *one.second())]
        corrections = len(self.rounds)
        known = {
            "unique": len(set(posts)) - corrections,
            "amended": corrections,
            "quarantined": 0,
            "sessions": 3 * len(self.rounds),
            "completed": 3 * len(self.rounds),
        }
        yield from (f"{counts[name]} {name}, not {n}" for name, n in known.items() if counts[name] != n)
        if not self.platform.answered <= counts["receipts"] <= self.platform.tried:
            yield f"{counts['receipts']} receipts, {self.platform.answered} posts answered of {self.platform.tried}"
        if counts["items"] != counts["receipts"]:
            yield f"{counts['items']} items in {counts['receipts']} receipts, each of one item"
        if counts["duplicate"] != counts["items"] - len(set(posts)):
            yield f"{counts['duplicate']} duplicates of {counts['items']} items, {len(set(posts))} of them distinct"

    def _wrong_audio(self) -> Iterator[str]:
        found = (self.up.directory / "recordings").rglob("*")
        # A death in the middle of a copy leaves obstore's own beginning of it beside the place: `NAME#1`.
        files = [path for path in found if path.is_file() and "#" not in path.name]
        stored = Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
        served = Counter(row["sha256"] for one in self.rounds for row in _recordings(one))
        if stored != served:
            yield f"{len(files)} file(s) in the object store, the platform serves {served.total()}, or bytes differ"


def _recordings(round_: Round) -> Iterator[dict[str, Any]]:
    for _, line in round_.truth():
        yield from line["expect"]["recordings"].values()
