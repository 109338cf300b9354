"""For every alert: series that make it fire, and a near miss that must not, in promtool's notation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

Series = Mapping[str, str]  # a series and its values


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`fires` holds for long enough at `at` minutes; `quiet` is as close as it gets without being wrong.

    A value every `step` minutes, at which the alerts are evaluated too.
    """

    fires: Series
    quiet: Series
    at: int = 30
    step: int = 1


_DOOR: Final = 'callstitch_ready{check="door"}'
_CHECKED: Final = "callstitch_ledger_checked_timestamp_seconds"
_BUCKET: Final = "callstitch_door_confirm_seconds_bucket"
_FREE: Final = "rabbitmq_disk_space_available_bytes"
_LIMIT: Final = "rabbitmq_disk_space_available_limit_bytes"

LATE: Final[Mapping[str, Case]] = {
    "CallstitchLate": Case(
        fires={'callstitch_oldest_age_seconds{stage="fan_out.crm"}': "61x40"},
        quiet={
            'callstitch_oldest_age_seconds{stage="dedupe"}': "59x40",
            'callstitch_oldest_age_seconds{stage="park.dead"}': "9000x40",  # a dead letter was tried for hours
        },
    ),
    "CallstitchVeryLate": Case(
        fires={'callstitch_oldest_age_seconds{stage="dedupe"}': "901x40"},
        quiet={'callstitch_oldest_age_seconds{stage="dedupe"}': "890x40"},
    ),
    "CallstitchQueueUnattended": Case(
        fires={'callstitch_queue_unattended_seconds{queue="callstitch.unique.v1"}': "61x40"},
        quiet={
            'callstitch_queue_unattended_seconds{queue="callstitch.unique.v1"}': "59x40",
            'callstitch_queue_unattended_seconds{queue="billing"}': "800x40",
        },
    ),
    "CallstitchDownstreamUnattended": Case(
        fires={'callstitch_queue_unattended_seconds{queue="billing"}': "901x40"},
        quiet={'callstitch_queue_unattended_seconds{queue="billing"}': "890x40"},
    ),
    "CallstitchNoConsumer": Case(
        fires={'callstitch_queue_consumers{queue="callstitch.sink.crm.v1"}': "0x40"},
        quiet={
            'callstitch_queue_consumers{queue="callstitch.sink.crm.v1", instance="a"}': "0x40",  # as one process saw it
            'callstitch_queue_consumers{queue="callstitch.sink.crm.v1", instance="b"}': "1x40",
            'callstitch_queue_consumers{queue="callstitch.decisions.v1"}': "0x40",  # nobody has to answer questions
            'callstitch_queue_consumers{queue="callstitch.retry.1s.v1"}': "0x40",
        },
    ),
    "CallstitchQueueGrows": Case(
        fires={'callstitch_queue_messages{queue="callstitch.received.v1"}': "900+20x60"},
        quiet={
            'callstitch_queue_messages{queue="callstitch.received.v1"}': "5000-20x60",
            'callstitch_queue_messages{queue="callstitch.unique.v1"}': "0+10x60",
            'callstitch_queue_messages{queue="callstitch.retry.6h.v1"}': "2000+20x60",
        },
        at=50,
    ),
    "CallstitchSessionsOverdue": Case(
        fires={"callstitch_sessions_overdue": "1x40"}, quiet={"callstitch_sessions_overdue": "0 1 0 1 0x40"}
    ),
    "CallstitchOutboxUnsent": Case(
        fires={"callstitch_outbox_unsent": "3x40", 'callstitch_events_total{type="call.completed"}': "700x40"},
        quiet={"callstitch_outbox_unsent": "900x40", 'callstitch_events_total{type="call.completed"}': "700+9x40"},
    ),
    "CallstitchConfirmSlow": Case(
        fires={
            f'{_BUCKET}{{le="1.0"}}': "0+1x40",
            f'{_BUCKET}{{le="2.5"}}': "0+2x40",
            f'{_BUCKET}{{le="+Inf"}}': "0+2x40",
        },
        quiet={
            f'{_BUCKET}{{le="1.0"}}': "0+1000x40",
            f'{_BUCKET}{{le="2.5"}}': "0+1001x40",
            f'{_BUCKET}{{le="+Inf"}}': "0+1001x40",
        },
    ),
    "CallstitchUnackedTooLong": Case(
        fires={'callstitch_unacked_seconds{stage="correlate"}': "0+60x40"},
        quiet={'callstitch_unacked_seconds{stage="correlate"}': "0+60x10 0x40"},
    ),
}

LOSING: Final[Mapping[str, Case]] = {
    "CallstitchLedgerDiffers": Case(
        fires={'callstitch_ledger_hours{source="bj", state="differs"}': "0 0x4 1x4 0x4 1x4 0x4 1x4 0x4 1x4 0x4"},
        quiet={
            'callstitch_ledger_hours{source="bj", state="differs"}': "0x20 1x4 0x15",  # one look
            'callstitch_ledger_hours{source="bj", state="in_flight"}': "2x40",
        },
    ),
    "CallstitchLedgerUnchecked": Case(fires={_CHECKED: "0x300"}, quiet={_CHECKED: "0+60x100 6000x150"}, at=240),
    "CallstitchDeadLetters": Case(
        fires={'callstitch_dead_total{stage="dedupe"}': "0x20 1x20"},
        quiet={
            'callstitch_dead_total{stage="dedupe"}': "7x40",
            'callstitch_received_total{stage="park.dead"}': "7x40",
            'callstitch_queue_messages{queue="callstitch.dead.v1"}': "0x40",
        },
        at=25,
    ),
    "CallstitchQuarantine": Case(
        fires={'callstitch_items_total{source="bj", result="quarantined"}': "0x20 1x20"},
        quiet={
            'callstitch_items_total{source="bj", result="quarantined"}': "5x40",
            'callstitch_items_total{source="bj", result="duplicate"}': "0+5x40",
        },
        at=25,
    ),
    "CallstitchUnrouted": Case(
        fires={'callstitch_received_total{stage="park.unrouted"}': "0x20 1x20"},
        quiet={
            'callstitch_received_total{stage="park.unrouted"}': "3x40",
            'callstitch_received_total{stage="dedupe"}': "0+9x40",
        },
        at=25,
    ),
    "CallstitchRecordingsFail": Case(
        fires={'callstitch_recordings_total{source="bj", state="failed"}': "0x20 1x20"},
        quiet={'callstitch_recordings_total{source="bj", state="stored"}': "0+4x40"},
    ),
    "CallstitchUnpromised": Case(
        fires={'callstitch_unpromised_total{source="bj"}': "0x20 1x20"},
        quiet={'callstitch_unpromised_total{source="bj"}': "4x40"},
        at=25,
    ),
    "CallstitchRetries": Case(
        fires={
            'callstitch_retried_total{stage="fan_out.crm"}': "0+20x40",
            'callstitch_received_total{stage="fan_out.crm"}': "0+100x40",
        },
        quiet={
            'callstitch_retried_total{stage="fan_out.crm"}': "0+5x40",
            'callstitch_received_total{stage="fan_out.crm"}': "0+100x40",
        },
    ),
}

UP: Final[Mapping[str, Case]] = {
    "CallstitchNoDoor": Case(
        fires={f'{_DOOR[:-1]}, instance="a"}}': "0x40"},
        quiet={f'{_DOOR[:-1]}, instance="a"}}': "0x40", f'{_DOOR[:-1]}, instance="b"}}': "1x40"},
    ),
    "CallstitchDoorRefuses": Case(
        fires={'callstitch_door_unstored_total{why="late"}': "0+1x40"},
        quiet={'callstitch_door_unstored_total{why="late"}': "9x40"},
    ),
    "CallstitchPushesRejected": Case(
        fires={
            'callstitch_requests_total{source="bj", status="401"}': "0+1x40",
            'callstitch_requests_total{source="bj", status="200"}': "0+10x40",
        },
        quiet={
            'callstitch_requests_total{source="unknown", status="404"}': "0+90x40",  # the internet looks at every door
            'callstitch_requests_total{source="bj", status="503"}': "0+9x40",
            'callstitch_requests_total{source="bj", status="401"}': "0+1x40",
            'callstitch_requests_total{source="bj", status="200"}': "0+100x40",
        },
    ),
    "CallstitchSourceSilent": Case(
        fires={'callstitch_accepted_total{source="bj"}': "0+30x300 9000x70"},
        quiet={'callstitch_accepted_total{source="bj"}': "0x370"},  # it never sent at this time
        at=10_320,
        step=30,
    ),
    "CallstitchDown": Case(
        fires={'up{job="callstitch", role="dedupe", instance="a"}': "1x20 0x20"},
        quiet={'up{job="callstitch", role="dedupe", instance="a"}': "1x20 0 1x20"},
    ),
    "CallstitchNotReady": Case(
        fires={'callstitch_ready{check="correlate", instance="a"}': "0x40"},
        quiet={'callstitch_ready{check="correlate", instance="a"}': "0 1 0 1x40"},
    ),
    "CallstitchBrokerAway": Case(
        fires={'callstitch_broker_up{role="ingest"}': "1x10 0x40"},
        quiet={'callstitch_broker_up{role="ingest"}': "1x28 0 1x40"},
    ),
    "CallstitchStoreAway": Case(
        fires={'callstitch_store_up{stage="dedupe"}': "1x10 0x40"},
        quiet={'callstitch_store_up{stage="dedupe"}': "1x40"},
    ),
    "CallstitchHeld": Case(
        fires={'callstitch_held{stage="dedupe"}': "1x40"}, quiet={'callstitch_held{stage="dedupe"}': "0x29 1 1 0x9"}
    ),
    "CallstitchOnHold": Case(
        fires={'callstitch_on_hold{switch="correlate"}': "1x40"},
        quiet={'callstitch_on_hold{switch="correlate"}': "0x20 1x9 0x10"},  # a short one that somebody watches
    ),
    "CallstitchTickFailed": Case(
        fires={'callstitch_tick_failed_total{stage="correlate"}': "0+2x40"},
        quiet={'callstitch_tick_failed_total{stage="correlate"}': "0x20 1x40"},
    ),
    "CallstitchRestarts": Case(
        fires={'process_start_time_seconds{job="callstitch", instance="a"}': "100x20 200 300 400x20"},
        quiet={'process_start_time_seconds{job="callstitch", instance="a"}': "100x20 200x20"},  # an upgrade
    ),
    "CallstitchConfigStale": Case(
        fires={'callstitch_config_stale{instance="a"}': "1x40"},
        quiet={'callstitch_config_stale{instance="a"}': "0x29 1x9"},
    ),
    "CallstitchMixedVersions": Case(
        fires={
            'callstitch_build_info{version="1", instance="a"}': "1x90",
            'callstitch_build_info{version="2", instance="b"}': "1x90",
        },
        quiet={
            'callstitch_build_info{version="2", instance="a"}': "1x90",
            'callstitch_build_info{version="2", instance="b"}': "1x90",
        },
        at=80,
    ),
    "RabbitmqDown": Case(
        fires={'up{job="rabbitmq", instance="a"}': "0x40"}, quiet={'up{job="rabbitmq", instance="a"}': "1x40"}
    ),
}

FULL: Final[Mapping[str, Case]] = {
    "RabbitmqAlarm": Case(
        fires={"rabbitmq_alarms_free_disk_space_watermark": "1x40"},
        quiet={
            "rabbitmq_alarms_free_disk_space_watermark": "0x40",
            "rabbitmq_alarms_memory_used_watermark": "0x40",
            "callstitch_broker_blocked": "0x40",
        },
    ),
    "RabbitmqDiskLow": Case(
        fires={_FREE: "1500000000x40", _LIMIT: "50000000x40"}, quiet={_FREE: "9e9x40", _LIMIT: "50000000x40"}
    ),
    "RabbitmqDiskFills": Case(
        fires={_FREE: "20000000000-100000000x120", _LIMIT: "50000000x120"},
        quiet={_FREE: "20000000000-10000000x120", _LIMIT: "50000000x120"},
        at=90,
    ),
    "RabbitmqMemory": Case(
        fires={"rabbitmq_process_resident_memory_bytes": "90x40", "rabbitmq_resident_memory_limit_bytes": "100x40"},
        quiet={"rabbitmq_process_resident_memory_bytes": "80x40", "rabbitmq_resident_memory_limit_bytes": "100x40"},
    ),
    "CallstitchFilesRunOut": Case(
        fires={
            'process_open_fds{job="callstitch", instance="a"}': "900x40",
            'process_max_fds{job="callstitch", instance="a"}': "1024x40",
        },
        quiet={
            'process_open_fds{job="callstitch", instance="a"}': "700x40",
            'process_max_fds{job="callstitch", instance="a"}': "1024x40",
        },
    ),
}

SINKS: Final[Mapping[str, Case]] = {
    "CallstitchSinkPaused": Case(
        fires={'callstitch_paused{stage="fan_out.crm"}': "1x40"},
        quiet={'callstitch_paused{stage="fan_out.crm"}': "0x40"},
    ),
    "CallstitchSinkAway": Case(
        fires={'callstitch_away{stage="fan_out.crm"}': "1x40"},
        quiet={'callstitch_away{stage="fan_out.crm"}': "0x40"},
    ),
    "CallstitchSinkFails": Case(
        fires={
            'callstitch_sink_failed_total{sink="crm"}': "0+9x40",
            'callstitch_sink_delivered_total{sink="crm"}': "0+1x40",
        },
        quiet={
            'callstitch_sink_failed_total{sink="crm"}': "0x40",
            'callstitch_sink_delivered_total{sink="crm"}': "0+1x40",
        },
    ),
}

CASES: Final[Mapping[str, Case]] = {**LATE, **LOSING, **UP, **FULL, **SINKS}
