"""After the interruption: what lay in the queues is done, the old pushes come again, and then the rest."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.compat.let_out import record_without
from tests.compat.outside import Outside
from tests.compat.stored import State
from tests.e2e.programs import request
from tests.e2e.running import Up, callstitch

SETTLED_SECONDS: Final = 100.0
ADDED: Final = ("repaired", "at", "received_at")  # fields that a record had not, then
ADDED_TO_ROWS: Final = ("billed_minutes", "name", "media_type")  # nor its CDRs and recordings
NAMED_WITHOUT_A_FLAG: Final = (  # its recording is tried since
    "voice:1201_612_4294967295_20190124030424@callenabler245.huaweicaas.com"
)
AGAIN: Final = ("before", "amended", "outbox", "unique", "received")
_ITEMS: Final = re.compile(r'callstitch_items_total\{result="(\w+)",source="(\w+)"\} (\S+)')


def goes_on(up: Up, state: State, there: Outside) -> dict[str, Any]:
    """What a started `up` makes of it all; the same whichever version it is, and however fast."""
    lay = len(list(state.phase("received")))
    up.wait_for(
        lambda: "huawei:accepted" in final_records(up.events()) and sum(items(up).values()) >= lay, SETTLED_SECONDS
    )
    left = items(up)
    again = list(state.phase(*AGAIN))
    for telling in again:
        assert telling.post(up).status == 200, up.tail()
    up.wait_for(lambda: sum(items(up).values()) >= sum(left.values()) + len(again), SETTLED_SECONDS)
    repeated = {name: number - left.get(name, 0) for name, number in items(up).items()}
    for telling in state.phase("rest"):
        assert telling.post(up).status == 200, up.tail()
    up.wait_for(lambda: is_settled(up), SETTLED_SECONDS)
    callstitch(up, "dead", "replay", "--all")
    up.wait_for(lambda: there.hooked, SETTLED_SECONDS)
    return {
        "left": left,
        "repeated": {name: number for name, number in repeated.items() if number},
        "items": items(up),
        "records": final_records(up.events()),
        "reconcile": _exit_code(up, "reconcile"),
        "hooked": sorted({body.decode() for body in there.hooked}),
    }


def items(up: Up) -> dict[str, float]:
    """How many items this process counted, by result and source; a series that stands at 0 was not there in 7189888."""
    page = request(up.admin, "GET", "/metrics").body.decode()
    counts = {f"{result} {source}": float(number) for result, source, number in sorted(_ITEMS.findall(page))}
    return {name: number for name, number in counts.items() if number}


def _exit_code(up: Up, *arguments: str) -> int:
    try:
        callstitch(up, *arguments)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"{error.stdout}{error.stderr}")
        return error.returncode
    return 0


def is_settled(up: Up) -> bool:
    """Every call is completed with all that was pushed of it, and no recording of Huawei's is still wanted."""
    finals = final_records(up.events())
    calls = [record for record in finals.values() if "cdrs" in record]
    return (
        len(finals) == SUBJECTS
        and all(finals[subject].get("user_data") == told for subject, told in CHANGED.items())
        and all(call["cdrs"] for call in calls)
        and all(not finals[subject]["missing"] for subject in WHOLE)
        and all(row["state"] == "stored" for call in calls for row in call["recordings"] if call["source"] == "huawei")
    )


SUBJECTS: Final = 15
CHANGED: Final = {"huawei:whole": "changed", "huawei:amended": "changed again"}
WHOLE: Final = tuple(f"huawei:{name}" for name in ("whole", "without-events", "begun", "accepted", "parsed"))


def final_records(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The record of each call and SMS in its highest revision, without that number (speed may merge two) and ADDED."""
    last: dict[str, Mapping[str, Any]] = {}
    for event in events:
        if "revision" in event and event["revision"] >= last.get(event["subject"], event)["revision"]:
            last[event["subject"]] = event
    return {
        subject: {name: value for name, value in _record(event).items() if name not in ("revision", *ADDED)}
        for subject, event in sorted(last.items())
    }


def _record(event: Mapping[str, Any]) -> dict[str, Any]:
    data: dict[str, dict[str, Any]] = event["data"]
    record: dict[str, Any] = record_without(data.get("call") or data["sms"])
    if record["id"] == NAMED_WITHOUT_A_FLAG:
        assert [row["state"] for row in record["recordings"]] == ["wanted"]
        record["recordings"] = []
    for row in (record, *record.get("cdrs", ())):
        if "talk_seconds" in row:
            row["talk_seconds"] = row["talk_seconds"] or 0  # null was 0, then
    for row in (*record.get("cdrs", ()), *record.get("recordings", ())):
        for name in ADDED_TO_ROWS:
            row.pop(name, None)
    if record["decision"]:
        record["decision"]["milliseconds"] = 0
    return record
