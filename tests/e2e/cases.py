"""The cases from the field: what is posted, and what must come out of each (tests/fixtures/cases/README.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.e2e.programs import Answer, request
from tests.e2e.running import TOKEN_VARIABLE, Up

DIRECTORY: Final = Path(__file__).parents[1] / "fixtures" / "cases"
_PLATFORMS: Final = {
    "pn": "huawei_privatenumber",
    "pnx": "huawei_privatenumber",
    "vc": "huawei_voicecall",
    "ali": "aliyun_pnp",
    "jy": "jiuyun_axb",
}
_MORE: Final = {"pnx": 'mode = "X"\ncontrol = true\n'}
_SOURCES: Final = "".join(
    f'[[source]]\nname = "{name}"\nplatform = "{platform}"\ntokens = ["env:{TOKEN_VARIABLE}"]\n{_MORE.get(name, "")}\n'
    for name, platform in _PLATFORMS.items()
)
CONFIG: Final = f"""
broker = "embedded:broker.db"
store = "sqlite:state"
objects = "file:recordings"

[ingest]
drain_delay = "0s"

{_SOURCES}[[sink]]
name = "file"
kind = "jsonl"
path = "calls.jsonl"
"""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """`records`: by subject, fields of the last record. `raws`: what was told of no call, by type, in their order.

    `answer`: the last answer as JSON. `hidden`: what `callstitch trace` of the first record does not show.
    """

    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    raws: Sequence[tuple[str, Any]] = ()
    answer: Mapping[str, Any] | None = None
    hidden: Sequence[str] = ()


A, B = "+8613100000011", "+8613200000012"
TALKED: Final = {"answered": True, "outcome": "answered", "talk_seconds": 23, "repaired": []}
AS_USUAL: Final = {**TALKED, "caller": A, "callee": B, "ended_at": "2026-11-20T05:25:41Z"}
TO_NOBODY: Final = {"answered": False, "outcome": "no_answer", "talk_seconds": 0}


def _session(number: str, prefix: str = "1201") -> str:
    return f"{prefix}_{number}_4294967295_20261120052457@callenabler9.huaweicaas.com"


def _state(status: str, cause: str) -> tuple[str, Any]:
    info = {"number": "+8617000000051", "status": status, "cause": cause}
    return "number.changed", {"eventType": "numStatus", "numInfo": [info]}


EXPECTED: Final[Mapping[str, Expected]] = {
    "pn-fee-one-object": Expected(records={f"pn:{_session('101')}": AS_USUAL}),
    "pn-number-state-comes-back": Expected(raws=[_state("9", "2"), _state("5", ""), _state("9", "2")]),
    "pn-not-a-number-state": Expected(records={f"pn:{_session('103')}": AS_USUAL}),
    "pn-recording-on-ostorqh2": Expected(records={f"pn:{_session('104')}": {**AS_USUAL, "recordings": ["wanted"]}}),
    "pn-session-id-of-numbers": Expected(
        records={"pn:+8613100000011_+8613200000012_4_627e5c1f_963036_669_1_0": AS_USUAL},
        hidden=["13100000011", "13200000012"],
    ),
    "vc-answer-of-nobody": Expected(records={f"vc:{_session('106')}": {**TO_NOBODY, "caller": "+8613100000021"}}),
    "vc-answer-and-cdr-without-parties": Expected(records={f"vc:{_session('107')}": TO_NOBODY}),
    "pn-two-spaces-in-time": Expected(
        records={
            f"pn:{_session('108')}": {
                **AS_USUAL,
                "called_in_at": "2026-11-20T05:24:57Z",
                "started_at": "2026-11-20T05:24:58Z",
                "ringing_at": "2026-11-20T05:25:01Z",
                "answered_at": "2026-11-20T05:25:18Z",
            }
        }
    ),
    "pn-caller-international-00": Expected(records={f"pn:{_session('109')}": {**AS_USUAL, "caller": "+6591234567"}}),
    "pn-content-encoding-utf-8": Expected(records={f"pn:{_session('110')}": AS_USUAL}),
    "ali-time-in-utc": Expected(
        records={
            "ali:f1e2d3c4b5a60111": {
                **TALKED,
                "called_in_at": "2026-11-20T05:24:57Z",
                "answered_at": "2026-11-20T05:25:18Z",
                "ended_at": "2026-11-20T05:25:41Z",
            }
        }
    ),
    "vc-batch-with-cut-emoji": Expected(
        records={
            f"vc:{_session('112')}": {"answered": True, "user_data": "order-1", "repaired": []},
            f"vc:{_session('113')}": {"answered": True, "user_data": "red table \ufffd", "repaired": ["character"]},
        }
    ),
    "pnx-call-question-with-odd-time": Expected(answer={"operation": "close", "closeInfo": {}}),
    "ali-landline-with-dash": Expected(
        records={"ali:f1e2d3c4b5a60114": {**TALKED, "callee": "0755-12345678"}}, hidden=["0755-12345678", "12345678"]
    ),
    "open-pn-record-names-without-flag": Expected(
        records={f"pn:{_session('121')}": {**AS_USUAL, "recordings": ["wanted"]}}
    ),
    "open-pn-fail-time-for-end": Expected(
        records={f"pn:{_session('122')}": {"answered": False, "ended_at": "2026-11-20T05:25:31Z", "ring_seconds": 30}}
    ),
    "open-pn-icid-without-session": Expected(records={"pn:icid:ba171f34123.4.3757285803.1": AS_USUAL}),
    "open-jy-entity-in-user-data": Expected(
        records={"jy:field0124": {**TALKED, "user_data": "shop A&nbsp;B", "repaired": ["entity"]}}
    ),
    "open-pn-double-slash": Expected(records={f"pn:{_session('125')}": AS_USUAL}),
}


def posted(up: Up, name: str) -> list[Answer]:
    """The answers to the requests of a case, in that order."""
    text = (DIRECTORY / f"{name}.http").read_text()
    return [_post(up, part.strip("\n")) for part in text.split("\n###\n")]


def _post(up: Up, text: str) -> Answer:
    head, _, body = text.replace("{{token}}", up.token).partition("\n\n")
    first, *headers = head.split("\n")
    method, url = first.split(" ")
    path = url.removeprefix("http://{{host}}")
    return request(up.listen, method, path, body.encode(), dict(line.split(": ", 1) for line in headers))


def records(events: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The record of each call in its highest revision; of its recordings the states."""
    last: dict[str, Mapping[str, Any]] = {}
    for event in events:
        call = event["data"].get("call")
        if call and call["revision"] >= last.get(event["subject"], call)["revision"]:
            last[event["subject"]] = {**call, "recordings": [row["state"] for row in call["recordings"]]}
    return last


def told_of_no_call(events: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Each event of no call once, in the order in which they were told first."""
    seen = set()
    for event in events:
        if "raw" in event["data"] and event["id"] not in seen:
            seen.add(event["id"])
            yield event["type"].removeprefix("callstitch.").removesuffix(".v1"), event["data"]["raw"]
