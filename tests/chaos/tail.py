"""Files that grow, read as they grow: the events that reached the file sink, and what the platform wrote down."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import orjson

from schemas.envelope import JsonObject


class Tail:
    """The whole lines that came since the last look; a line that is being written is left for later."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def lines(self) -> Iterator[bytes]:
        """What is new."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        yield from whole.splitlines()


class Events:
    """Every event that a consumer of the file could read; the bytes of the last revision of each call are kept."""

    def __init__(self, path: Path) -> None:
        self._tail = Tail(path)
        self.lines = 0
        self.last_at = 0.0  # when the last look found something new, on the monotonic clock
        self.silence = 0.0  # the longest time between two looks that found something new
        self.digests: dict[str, bytes] = {}  # of the body, by event id
        self.two_bodies: set[str] = set()
        self._completed: defaultdict[str, set[str]] = defaultdict(set)
        self._latest: dict[str, tuple[int, bytes]] = {}  # revision and event, by session id

    def read(self, now: float) -> None:
        """Take in what is new."""
        before = self.lines
        for line in self._tail.lines():
            self._take(line)
        if self.lines > before:
            self.silence = max(self.silence, now - (self.last_at or now))
            self.last_at = now

    def completed_twice(self) -> list[str]:
        """Calls with more than one call.completed."""
        return [subject for subject, ids in self._completed.items() if len(ids) > 1]

    def __contains__(self, session: str) -> bool:
        """Whether any event holds a record of that session."""
        return session in self._latest

    def record(self, session: str) -> JsonObject:
        """The record of that session in its highest revision."""
        record: JsonObject = orjson.loads(self._latest[session][1])["data"]["call"]
        return record

    def latest(self) -> list[JsonObject]:
        """For each call the event with the highest revision."""
        return [orjson.loads(line) for _, line in self._latest.values()]

    def _take(self, line: bytes) -> None:
        self.lines += 1
        event = orjson.loads(line)
        digest = hashlib.sha256(line).digest()
        if self.digests.setdefault(event["id"], digest) != digest:
            self.two_bodies.add(event["id"])
        if event["type"] == "callstitch.call.completed.v1":
            self._completed[event["subject"]].add(event["id"])
        if (record := event["data"].get("call")) is not None:
            session, revision = record["session_id"], record["revision"]
            if revision > self._latest.get(session, (0, b""))[0]:
                self._latest[session] = (revision, line)


class Sent:
    """The platform's truth file: a line for each push that was answered 200 or given up, for each call, and an end."""

    def __init__(self, path: Path) -> None:
        self._tail = Tail(path)
        self.calls: dict[str, JsonObject] = {}
        self.end: JsonObject | None = None
        self.answered = 0  # pushes
        self.notifications = 0  # in these pushes

    def read(self) -> None:
        """Take in what is new."""
        for line in self._tail.lines():
            self._take(orjson.loads(line))

    def _take(self, row: JsonObject) -> None:
        match row["type"]:
            case "push" if row["status"] == 200:
                self.answered += 1
                self.notifications += row["items"]
            case "call":
                self.calls[row["session_id"]] = row
            case "end":
                self.end = row
