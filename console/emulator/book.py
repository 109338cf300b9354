"""Keeps the books of a play: what was accepted of each call, and the totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from console.emulator.act import OK, Act
from console.emulator.push import Item, Push
from console.emulator.settings import Played


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a POST ended: the last status, None when no answer came at all, and what the attempts saw."""

    status: int | None
    attempts: int
    unanswered: int
    late: int = 0  # attempts that took longer than the platform waits, answered or not
    wrong: int = 0  # 1 when a 200 was not what the platform wants to hear

    @property
    def accepted(self) -> bool:
        """Tell if the door took it."""
        return self.status == OK


@dataclass(kw_only=True)
class Account:
    """One call's accepted items in the order of their first acceptance, and those that were given up."""

    left: int = 0
    accepted: dict[tuple[str, int], Item] = field(default_factory=dict)
    given_up: dict[tuple[str, int], Item] = field(default_factory=dict)


class Book:
    """Nothing is sent from here; the player tells what happened and writes down what it gets back.

    `about` stands in every line: which source, which platform.
    """

    def __init__(self, *, act: Act, about: Mapping[str, str]) -> None:
        self.played = Played(calls=len(act.sessions))
        self._act = act
        self._about = dict(about)
        lefts = Counter(call for push in act.pushes for call in push.calls)
        self._names = {**act.sessions, **act.messages}
        self._accounts = {number: Account(left=lefts[number]) for number in self._names}
        self.played.messages = sum(bool(name) for name in act.messages.values())

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
                account.given_up[item.name, item.version] = item
        return {
            "type": "push",
            "n": push.n,
            "kind": push.kind,
            "status": answer.status,
            "attempts": answer.attempts,
            "items": len(push.items),
            "sessions": [self._names[number] for number in push.calls],
            "again": push.again,
            **self._about,
        }

    def close(self, push: Push) -> list[dict[str, Any]]:
        """Count a push as over and return the lines of the calls that are over with it."""
        lines = []
        for number in push.calls:
            self._accounts[number].left -= 1
            if not self._accounts[number].left:
                lines += self._over(number)
        return lines

    def _count(self, push: Push, answer: Answer) -> None:
        played = self.played
        played.attempts += answer.attempts
        played.attempts_unanswered += answer.unanswered
        played.attempts_refused += answer.attempts - answer.unanswered - answer.accepted
        played.attempts_late += answer.late
        played.questions += push.asks and answer.accepted
        played.answers_wrong += answer.wrong
        if not answer.accepted:
            played.posts_given_up += 1
            return
        new = [i for i in push.items if (i.name, i.version) not in self._accounts[i.call].accepted]
        played.posts_200 += 1
        played.items_accepted += len(push.items)
        played.event_items += len(push.items) if push.kind == "event" else 0
        played.cdr_items += len(push.items) if push.kind == "cdr" else 0
        played.other_items += len(push.items) if push.kind not in ("event", "cdr") else 0
        played.numbers_changed += len(new) if push.kind == "number" else 0
        played.notices += len(new) if push.kind == "notice" else 0
        played.distinct_items_accepted += len(new)
        played.amended_items += sum(item.version > 1 for item in new)
        played.duplicates += len(push.items) - len(new)

    def _over(self, number: int) -> list[dict[str, Any]]:
        is_told = bool(self._accounts[number].accepted)
        if number in self._act.sessions:
            self.played.calls_told += is_told
            return [self._line(number, "call")]
        if not self._names[number]:
            return []
        self.played.messages_told += is_told
        return [self._line(number, "sms")]

    def _line(self, number: int, kind: str) -> dict[str, Any]:
        account = self._accounts[number]
        items = list(account.accepted.values())
        expected = self._act.expect(number, items)
        if kind == "call":
            expected["amended"] = any(item.version > 1 for item in items)
        given_up = [name for name, version in account.given_up if (name, version) not in account.accepted]
        sought = {"sought": self._act.sought[number]} if number in self._act.sought else {}
        return {
            "type": kind,
            "session_id": self._names[number],
            "items_accepted": len(items),
            "given_up": given_up,
            "cdr_given_up": any(item.kind == "cdr" for item in account.given_up.values()),
            "expect": expected,
            **sought,
            **self._about,
        }
