"""Keeps the books of a play: what was accepted of each call, and the totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from console.emulator.calls import Call
from console.emulator.expect import expect
from console.emulator.payloads import Content
from console.emulator.plan import Item, Push
from console.emulator.settings import Played

OK = 200


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a POST ended: the last status, None when no answer came at all, and what the attempts saw."""

    status: int | None
    attempts: int
    unanswered: int

    @property
    def accepted(self) -> bool:
        """Tell if the door took it."""
        return self.status == OK


@dataclass(kw_only=True)
class Account:
    """One call's accepted items in the order of their first acceptance, and those that were given up."""

    left: int = 0
    accepted: dict[tuple[str, int], Item] = field(default_factory=dict)
    given_up: dict[tuple[str, int], None] = field(default_factory=dict)


class Book:
    """Nothing is sent from here; the player tells what happened and writes down what it gets back."""

    def __init__(self, *, seed: int, calls: Sequence[Call], pushes: Sequence[Push]) -> None:
        self.played = Played(calls=len(calls))
        self._seed = seed
        self._calls = {call.number: call for call in calls}
        lefts = Counter(call for push in pushes for call in push.calls)
        self._accounts = {number: Account(left=lefts[number]) for number in self._calls}

    def wants(self, push: Push) -> bool:
        """Tell if everything that this push builds on was answered 200."""
        return all((item.name, item.version) in self._accounts[item.call].accepted for item in push.needs)

    def settle(self, push: Push, answer: Answer) -> dict[str, Any]:
        """Enter a POST that was answered 200 or given up, and return its line."""
        self._count(push, answer)
        for item in push.items:
            account = self._accounts[item.call]
            if answer.accepted:
                account.accepted.setdefault((item.name, item.version), item)
            else:
                account.given_up[item.name, item.version] = None
        return {
            "type": "push",
            "n": push.n,
            "kind": push.kind,
            "status": answer.status,
            "attempts": answer.attempts,
            "items": len(push.items),
            "sessions": [self._calls[number].session_id for number in push.calls],
            "again": push.again,
        }

    def close(self, push: Push) -> list[dict[str, Any]]:
        """Count a push as over and return the lines of the calls that are over with it."""
        lines = []
        for number in push.calls:
            self._accounts[number].left -= 1
            if not self._accounts[number].left:
                lines.append(self._call_line(number))
        return lines

    def end_line(self) -> dict[str, Any]:
        """The last line: all totals, and the faults seen so far."""
        return {"type": "end", "seed": self._seed} | asdict(self.played)

    def _count(self, push: Push, answer: Answer) -> None:
        played = self.played
        played.attempts += answer.attempts
        played.attempts_unanswered += answer.unanswered
        played.attempts_refused += answer.attempts - answer.unanswered - answer.accepted
        if not answer.accepted:
            played.posts_given_up += 1
            return
        new = [i for i in push.items if (i.name, i.version) not in self._accounts[i.call].accepted]
        played.posts_200 += 1
        played.items_accepted += len(push.items)
        played.event_items += len(push.items) if push.kind == "event" else 0
        played.cdr_items += len(push.items) if push.kind == "cdr" else 0
        played.distinct_items_accepted += len(new)
        played.amended_items += sum(item.version > 1 for item in new)
        played.duplicates += len(push.items) - len(new)

    def _call_line(self, number: int) -> dict[str, Any]:
        call, account = self._calls[number], self._accounts[number]
        items = account.accepted.values()
        events = {item.name: item.content for item in items if item.kind == "event"}
        cdrs = {item.name: item.content for item in items if item.kind == "cdr"}  # a later version wins
        expected: Content = expect(call, seed=self._seed, events=events, cdrs=cdrs)
        expected["amended"] = any(item.version > 1 for item in items)
        given_up = [name for name, version in account.given_up if (name, version) not in account.accepted]
        return {
            "type": "call",
            "session_id": call.session_id,
            "items_accepted": len(items),
            "given_up": given_up,
            "expect": expected,
        }
