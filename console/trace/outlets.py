"""What became of the events of one call at each outlet: what is logged, what died, and what can only be concluded."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal, cast

import orjson

from console.reading import queue_depths
from schemas.envelope import EVENT_CONTENT_TYPE, Envelope, JsonObject, Kind, derived_id
from schemas.errors import CallstitchError, Misconfigured
from schemas.fact_json import FactJson
from schemas.facts import FactKind
from schemas.topology import RECORDINGS, edge_stage, feed_queue
from workers.calls.events import event_at_once
from workers.calls.kept import kept_fact
from workers.config import Config, DownstreamQueue, Outgoing, outlets_of
from workers.delivery.filters import filter_of
from workers.stores import open_sinks
from workers.stores.declared import Since, since_in
from workers.stores.deliveries import Attempt
from workers.stores.reads import Reads
from workers.stores.sinks import SinkState

LETTERS_SEARCHED: Final = 1000  # of a downstream queue, for batches that hold an event
CLOCKS_APART: Final = timedelta(minutes=10)
_TYPE: Final = "callstitch."

State = Literal["acked", "dead", "retry", "held", "unsent", "sent", "taken", "unbound", "unlogged", "filtered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One event of the call; `sent`: it left the outbox, None where it has no row there as it was told at once."""

    id: str
    type: str
    route: str
    at: str
    time: str
    revision: int | None
    sent: bool | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event at one outlet.

    `acked`, `retry`, `held` and `dead` are logged, or a dead letter says so. `unsent`: it is still in the outbox;
    `unbound`: the outlet was bound later. Of a downstream queue: `sent`, and `taken` where nothing waits in it.
    `filtered`: the outlet does not want what it says, by its filter of now.
    `unlogged`: nothing is known, as of what waits in its queue or was delivered before this was logged.
    """

    id: str
    type: str
    revision: int | None
    at: str
    state: State
    attempts: Sequence[Attempt] = ()
    letters: Sequence[JsonObject] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutletTold:
    """A sink or a downstream queue; `held`: how many messages wait in its queue, None where nobody tells."""

    name: str
    kind: Literal["sink", "queue"]
    queue: str
    held: int | None
    paused_at: datetime | None = None
    away_at: datetime | None = None
    events: Sequence[Delivery] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingTold:
    """A recording that was ordered: how its fetch ended, `wanted` while it has not, and dead letters of it."""

    key: str
    state: str
    at: str
    place: str | None = None
    reason: str | None = None
    letters: Sequence[JsonObject] = field(default=())


async def outlets_told(reads: Reads, config: Config, session: JsonObject) -> list[OutletTold]:
    """One for each outlet that wants any event of this call.

    Raises:
        Misconfigured, Unavailable: see workers.stores.reads.
    """
    progress = frozenset(source.name for source in config.source if source.progress)
    said = [*_in_the_outbox(session), *_told_at_once(session, progress)]
    outlets = {queue: one for queue, one in outlets_of(config).items() if any(_wants(one, event) for event in said)}
    depths = await _depths(config, [*outlets, *(feed_queue(one.name) for one in config.queue if one.fed)])
    states = await _states(config)
    since = since_in(await reads.declared())
    attempts = {event.id: await _attempts(reads, event) for event in said}
    told = []
    for queue, one in outlets.items():
        wanted = sorted([event for event in said if _wants(one, event)], key=lambda event: event.at)
        letters = await _letters(reads, queue, one, wanted)
        held = None if depths is None else depths.get(queue, 0)
        state = states.get(one.name, SinkState())
        downstream, wants = isinstance(one, DownstreamQueue), filter_of(one)
        events = [
            _delivery(
                event,
                [] if downstream else [row for row in attempts[event.id] if row.sink == one.name],
                letters[event.id],
                bound=_is_bound(event, since.get(queue)),
                rest=_rest(one, held, depths or {})
                if wants is None or wants.takes(event.route, event.body)
                else "filtered",
            )
            for event in wanted
        ]
        told.append(
            OutletTold(
                name=one.name,
                kind="queue" if downstream else "sink",
                queue=queue,
                held=held,
                paused_at=None if downstream else state.paused_at,
                away_at=None if downstream else state.away_at,
                events=events,
            )
        )
    return told


def _in_the_outbox(session: JsonObject) -> Iterator[Said]:
    for row in session["outbox"]:
        if row["kind"] == Kind.EVENT:
            yield _said(row["body"].encode(), at=row["at"], route=row["route"], sent=row["sent"])


def _told_at_once(session: JsonObject, progress: Collection[str]) -> Iterator[Said]:
    """Events that have no row: made again from their facts, whose pure function they are."""
    for fact in session["state"]["facts"]:
        live = fact["kind"] == FactKind.CALL_EVENT and fact["source"] in progress
        if live or (fact["kind"] == FactKind.DECISION and fact["body"]["asked"] == "call"):
            event = event_at_once(kept_fact(cast("FactJson", fact)), trace="")
            assert isinstance(event.body, bytes)
            yield _said(event.body, at=fact["at"], route=event.route, sent=None)


def _said(body: bytes, *, at: str, route: str, sent: bool | None) -> Said:
    told = orjson.loads(body)
    return Said(
        id=told["id"],
        type=told["type"].removeprefix(_TYPE).rpartition(".")[0],
        route=route,
        at=at,
        time=told.get("time") or at,
        revision=told.get("revision"),
        sent=sent,
        body=body,
    )


def _wants(one: Outgoing, event: Said) -> bool:
    kind, _, source = event.route.rpartition(".")
    return kind in one.events and (not one.sources or source in one.sources)


def _is_bound(event: Said, since: Since | None) -> bool:
    """Whether its outlet was, when it was said, as far as that is known; what was told at once has no clock of ours."""
    if since is None or not since.bound or event.sent is None:
        return True
    return datetime.fromisoformat(event.time) >= since.at


def _rest(one: Outgoing, held: int | None, depths: Mapping[str, int]) -> State:
    """What is so of an event that is neither logged nor dead."""
    if not isinstance(one, DownstreamQueue):
        return "unlogged"
    waits = held != 0 or depths.get(feed_queue(one.name), 0) > 0
    return "sent" if waits or one.stream else "taken"


def _delivery(
    event: Said, attempts: Sequence[Attempt], letters: Sequence[JsonObject], *, bound: bool, rest: State
) -> Delivery:
    if any(letter["state"] in ("parked", "wanted") for letter in letters):
        state: State = "dead"
    elif attempts:
        state = attempts[-1].end
    elif event.sent is False:
        state = "unsent"
    else:
        state = rest if bound else "unbound"
    return Delivery(
        id=event.id,
        type=event.type,
        revision=event.revision,
        at=event.at,
        state=state,
        attempts=attempts,
        letters=letters,
    )


async def _depths(config: Config, queues: Sequence[str]) -> Mapping[str, int] | None:
    try:
        return await queue_depths(config, queues)
    except CallstitchError:  # it refuses who asks: the rest can be told without
        return None


async def _states(config: Config) -> Mapping[str, SinkState]:
    try:
        async with open_sinks(config.store) as sinks:
            return await sinks.sinks()
    except CallstitchError:  # the rest can be told without
        return {}


async def _attempts(reads: Reads, event: Said) -> Sequence[Attempt]:
    rows = await reads.attempts(event.id, datetime.fromisoformat(event.at) - CLOCKS_APART)
    return sorted(rows, key=lambda row: (row.at, row.attempt))


async def _letters(
    reads: Reads, queue: str, one: Outgoing, events: Sequence[Said]
) -> Mapping[str, Sequence[JsonObject]]:
    """By event its dead letters there, whose ids follow from it; of a batch the text has to be looked at."""
    ids = {event.id: [*_letter_ids(queue, one, event)] for event in events}
    known = await known_letters(reads, [letter for some in ids.values() for letter in some])
    found = {event: [known[letter] for letter in some if letter in known] for event, some in ids.items()}
    if isinstance(one, DownstreamQueue):
        for event in events:
            held = await _holding(reads, _as_seen(one, event).id, edge_stage(queue))
            found[event.id] += [letter for letter in held if letter not in found[event.id]]
    return found


def _letter_ids(queue: str, one: Outgoing, event: Said) -> Iterator[str]:
    if not isinstance(one, DownstreamQueue):
        yield derived_id("dead", queue, event.id)
        return
    content = hashlib.blake2b(_as_seen(one, event).body, digest_size=16).hexdigest()
    yield derived_id("dead", edge_stage(queue), f"{EVENT_CONTENT_TYPE}|{content}")
    if one.fed:
        yield derived_id("dead", feed_queue(queue), event.id)


def _as_seen(one: Outgoing, event: Said) -> Said:
    """The event that was given to that outlet."""
    if one.view is None:
        return event
    made = one.view(Envelope(event.id, Kind.EVENT, "", datetime.fromisoformat(event.at), event.body))
    assert isinstance(made.body, bytes)
    return replace(event, id=made.id, body=made.body)


async def known_letters(reads: Reads, ids: Sequence[str]) -> Mapping[str, JsonObject]:
    """The dead letters of these ids that there are; none where nothing was ever parked."""
    try:
        return {letter["id"]: letter for letter in await reads.letters(ids)}
    except Misconfigured:
        return {}


async def _holding(reads: Reads, text: str, stage: str) -> Sequence[JsonObject]:
    try:
        return await reads.letters_holding(text, stage=stage, most=LETTERS_SEARCHED)
    except Misconfigured:
        return []


async def recordings_told(reads: Reads, session: JsonObject) -> list[RecordingTold]:
    """Every recording of the call that was ordered or has ended."""
    ends = {fact["body"]["key"]: fact for fact in session["state"]["facts"] if fact["kind"] == FactKind.RECORDING}
    orders = {row["body"]["key"]: row for row in session["outbox"] if row["kind"] == Kind.RECORDING_WANTED}
    letter_of = {key: derived_id("dead", RECORDINGS, order["id"]) for key, order in orders.items()}
    letters = await known_letters(reads, [*letter_of.values()])
    told = []
    for key in {**orders, **ends}:
        body = ends[key]["body"] if key in ends else {}
        letter = letters.get(letter_of.get(key, ""))
        told.append(
            RecordingTold(
                key=key,
                state=body.get("state", "wanted"),
                at=(ends.get(key) or orders[key])["at"],
                place=body.get("place"),
                reason=body.get("reason"),
                letters=[letter] if letter else [],
            )
        )
    return told
