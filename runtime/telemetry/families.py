"""All metrics as data: what a process exposes is made from these definitions, and so is docs/metrics.md."""

from __future__ import annotations

from typing import Final

from runtime.telemetry.family import DOOR, EVERY_ROLE, SUPERVISOR, Family
from runtime.telemetry.stage_families import STAGE_FAMILIES
from schemas.topology import STAGES

_DOOR: Final = (
    Family(
        name="callstitch_requests_total",
        type="counter",
        role=DOOR,
        labels=("source", "status"),
        unit="requests",
        meaning="HTTP requests at the door, by answer",
    ),
    Family(
        name="callstitch_accepted_total",
        type="counter",
        role=DOOR,
        labels=("source",),
        unit="pushes",
        meaning="Pushes that the broker confirmed: what the ledger counts as answered, and what has to come out again",
    ),
    Family(
        name="callstitch_door_seconds",
        type="histogram",
        role=DOOR,
        labels=("source",),
        unit="seconds",
        meaning="From request to answer",
    ),
    Family(
        name="callstitch_door_confirm_seconds",
        type="histogram",
        role=DOOR,
        unit="seconds",
        meaning="From the publish of a group of pushes to the broker's confirm",
    ),
    Family(
        name="callstitch_door_bundle_envelopes",
        type="histogram",
        role=DOOR,
        unit="envelopes",
        meaning="Envelopes of one group commit: one bundle, or several above 128 envelopes or 256 KiB",
    ),
    Family(
        name="callstitch_door_bundles_total",
        type="counter",
        role=DOOR,
        unit="messages",
        meaning="Bundles published by the door and confirmed",
    ),
    Family(
        name="callstitch_door_connections",
        type="gauge",
        role=DOOR,
        unit="connections",
        meaning="Open connections of the door",
    ),
    Family(
        name="callstitch_door_unstored_total",
        type="counter",
        role=DOOR,
        labels=("why",),
        unit="pushes",
        meaning="Pushes refused because they were not stored, by why",
    ),
    Family(
        name="callstitch_decisions_total",
        type="counter",
        role=DOOR,
        labels=("source", "by"),
        unit="questions",
        meaning="Questions answered, by who decided",
    ),
    Family(
        name="callstitch_decision_seconds",
        type="histogram",
        role=DOOR,
        labels=("source",),
        unit="seconds",
        meaning="From question to decision",
    ),
    Family(
        name="callstitch_unpromised_total",
        type="counter",
        role=DOOR,
        labels=("source",),
        unit="questions",
        meaning="Questions answered before their push was confirmed",
    ),
)
_PROCESS: Final = (
    Family(
        name="callstitch_ready",
        type="gauge",
        role=EVERY_ROLE,
        labels=("check",),
        over="min",
        meaning="1 while this check of `/readyz` passes",
    ),
    Family(
        name="callstitch_broker_up",
        type="gauge",
        role=EVERY_ROLE,
        over="min",
        meaning="1 while publishing and every consumer of this process work; a confirm that is overdue is 0",
    ),
    Family(
        name="callstitch_broker_blocked",
        type="gauge",
        role=EVERY_ROLE,
        over="max",
        meaning="1 while the broker takes no publishes because of an alarm (memory, disk)",
    ),
    Family(
        name="callstitch_store_up",
        type="gauge",
        role=", ".join(row.name for row in STAGES.values() if row.owns_state),
        labels=("stage",),
        over="min",
        meaning="1 while the state store answers this stage",
    ),
    Family(
        name="callstitch_queue_messages",
        type="gauge",
        role=EVERY_ROLE,
        labels=("queue",),
        unit="messages",
        over="max",
        meaning="Messages ready in the queue; a bundle is one, and what a consumer holds is not counted",
    ),
    Family(
        name="callstitch_queue_consumers",
        type="gauge",
        role=EVERY_ROLE,
        labels=("queue",),
        unit="consumers",
        over="max",
        meaning="Who is subscribed to the queue",
    ),
    Family(
        name="callstitch_queue_unattended_seconds",
        type="gauge",
        role=EVERY_ROLE,
        labels=("queue",),
        unit="seconds",
        over="max",
        meaning="For how long this process has seen messages in the queue and nobody subscribed; delay tiers excepted",
    ),
    Family(
        name="callstitch_on_hold",
        type="gauge",
        role=EVERY_ROLE,
        labels=("switch",),
        over="max",
        meaning="1 while an operator holds this stage, or has closed the doors (`ingest`)",
    ),
    Family(
        name="callstitch_config_stale",
        type="gauge",
        role=EVERY_ROLE,
        over="max",
        meaning="1 while what lies in the config's file could not be taken",
    ),
    Family(
        name="callstitch_config_taken_total",
        type="counter",
        role=EVERY_ROLE,
        unit="configs",
        meaning="Changed configs that were taken",
    ),
    Family(
        name="callstitch_build_info",
        type="gauge",
        role=EVERY_ROLE,
        labels=("version", "python"),
        over="max",
        meaning="1: which version runs",
    ),
    Family(
        name="callstitch_process_starts_total",
        type="counter",
        role=SUPERVISOR,
        labels=("process",),
        unit="starts",
        meaning="Starts of a process of the group",
    ),
)
FAMILIES: Final = (*_DOOR, *STAGE_FAMILIES, *_PROCESS)
# As prometheus_client's ProcessCollector names them; on Linux only.
PROCESS_FAMILIES: Final = (
    Family(name="process_cpu_seconds_total", type="counter", role=EVERY_ROLE, unit="seconds", meaning="CPU time"),
    Family(name="process_resident_memory_bytes", type="gauge", role=EVERY_ROLE, unit="bytes", meaning="Memory in use"),
    Family(name="process_virtual_memory_bytes", type="gauge", role=EVERY_ROLE, unit="bytes", meaning="Address space"),
    Family(
        name="process_start_time_seconds",
        type="gauge",
        role=EVERY_ROLE,
        unit="seconds since 1970",
        over="min",
        meaning="When it started",
    ),
    Family(name="process_open_fds", type="gauge", role=EVERY_ROLE, unit="files", meaning="Open file descriptors"),
    Family(
        name="process_max_fds", type="gauge", role=EVERY_ROLE, unit="files", over="min", meaning="How many it may open"
    ),
)
