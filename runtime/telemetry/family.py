"""What a metric is, as data, and what the words on it mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

FamilyType = Literal["counter", "gauge", "histogram"]

DOOR: Final = "ingest"
EVERY_STAGE: Final = "every stage"
EVERY_ROLE: Final = "every role"
SUPERVISOR: Final = "supervisor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric under the name that a query uses.

    `role` says who exposes it: a stage by name, the door, all stages, every process, or the supervisor of a group.
    `over` joins the series of several processes: what adds up, and where each process sees the same thing.
    """

    name: str
    type: FamilyType
    role: str
    meaning: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    over: Literal["sum", "max", "min"] = "sum"


LABELS: Final[Mapping[str, str]] = {
    "source": "a `[[source]]` of the config; `unknown` where none is meant",
    "status": "the HTTP status",
    "why": "`unroutable` `refused` `alarm` `late` `away`",
    "by": "`rule` `default` `service`: who decided",
    "stage": "`dedupe` `correlate` `fetch_recording` `fan_out.SINK` `feed.QUEUE` "
    "`park.quarantine`, `.dead`, `.unrouted` `decide`",
    "kind": "of envelope: `notification` `tally` `fact` `recording_wanted` `event` `quarantined` `dead`",
    "result": "`new` `mine` (a redelivery) `amended` `duplicate` `quarantined`",
    "type": "an event's type, such as `call.completed`",
    "state": "of a recording: `wanted` `stored` `failed`; of an hour: `ok` `in_flight` `differs`",
    "sink": "a `[[sink]]` of the config",
    "queue": "a queue of the topology that the config makes",
    "check": "as `/readyz` names it: `broker`, `door`, a stage, `upgrade`",
    "switch": "what `callstitch hold` holds: `ingest`, or a stage",
    "version": "of Callstitch",
    "python": "its version",
    "process": "which of `--processes N`: 1 to N",
    "le": "the upper bound of a bucket",
}
