"""What later versions add to what version 7189888 wrote, taken out again: the rest is what it was, byte for byte.

What came is declared here, field by field, and nothing else may have. The id of most events about a record is derived
from its bytes, so an event with a new field has another id than the same without: the id is derived again. So is
that of an event that is made of its fact alone, which has the minor of its schema in its id since then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from schemas.events.versions import versioned

_Q: Final = r'\\*"'  # a quotation mark, however deep within other JSON
_TEXT: Final = rf'{_Q}[^"\\]*{_Q}'
_ADDED: Final = tuple(
    re.compile(pattern.replace("'", _Q).replace("TEXT", _TEXT))
    for pattern in (
        r",'repaired':\[[^\]]*\]",  # in each record, and in a fact where something was mended
        r",'dataschema':'https://callstitch\.dev/schemas/[a-z.]+/1\.\d+\.json'",  # in each event
        r",'at':TEXT,'received_at':TEXT",  # in each call record
        r",'billed_minutes':(?:null|[\d.]+)",  # in each CDR
        r",'name':(?:null|TEXT),'media_type':(?:null|TEXT)",  # in each recording
        r",'number':(?:null|TEXT)(?=\}\})",  # in `number.changed`
    )
)
_CHANGED: Final = re.compile(rf"({_Q}changed{_Q}:\[)([^\]]*)")
_ADDED_POINTERS: Final = re.compile(
    rf"{_Q}/(?:at|received_at|cdrs/\d+/billed_minutes|recordings/\d+/(?:name|media_type)){_Q}"
)
_UNKNOWN: Final = re.compile(rf"({_Q}talk_seconds{_Q}:)null(,{_Q}answered{_Q}:false)")  # it was 0, if not answered
_SILENT: Final = re.compile(rf"{_Q}talk_seconds{_Q}:0,{_Q}answered{_Q}:false,{_Q}outcome")
_OF_TALK: Final = re.compile(rf"{_Q}(?:/cdrs/\d+)?/talk_seconds{_Q}")
_NUMBER: Final = re.compile(  # its subject was that of a call without an id, and it had no time
    r'("type":"callstitch\.number\.changed\.v1","source":"/callstitch/([^"]+)","subject":)"[^"]+","callid":"[^"]+",'
    r'"time":"[^"]+"'
)
_TIMELESS: Final = re.compile(  # nor had what the platform told without one
    r'("type":"callstitch\.(?:platform\.notified|call\.progress)\.v1","source":"[^"]+","subject":"[^"]+",'
    r'"callid":"[^"]+"),"time":"[^"]+"(,"datacontenttype":"application/json","data":\{(?:"raw"|"event":\{"type":"\w+",'
    r'"platform_type":"[^"]+","at":null))'
)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_AT_ONCE: Final = ("call.progress", "call.decided", "number.changed", "platform.notified")


def without_additions(text: str) -> str:
    """Bytes of today as that version would have made them, but for ids that are derived of them."""
    for added in _ADDED:
        text = added.sub("", text)
    text = _UNKNOWN.sub(r"\g<1>0\g<2>", text)
    silent = bool(_SILENT.search(text))
    text = _CHANGED.sub(lambda found: _as_changed_then(found, silent=silent), text)
    text = _NUMBER.sub(r'\g<1>"\g<2>:","callid":"\g<2>:"', text)
    return _TIMELESS.sub(r"\g<1>\g<2>", text)


def _as_changed_then(match: re.Match[str], *, silent: bool) -> str:
    """`silent`: it tells of a call that nobody answered, whose 0 may have been told as unknown before."""
    pointers = [one for one in match[2].split(",") if not _ADDED_POINTERS.fullmatch(one)]
    pointers = [one for one in pointers if not (silent and _OF_TALK.fullmatch(one))]
    return match[1] + ",".join(pointers)


_EVENT: Final = re.compile(r'\{"id":"(?P<id>[^"]+)",(?P<rest>"specversion".*"revision":(?P<revision>\d+).*)', re.DOTALL)
_SAID: Final = re.compile(  # recordings have an id that is not of their bytes
    r'"type":"callstitch\.(?P<type>call\.\w+|sms\.notified)\.v1".*?"subject":"(?P<subject>[^"]+)"'
)
_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:callstitch")


_TABLES_ADDED: Final = {
    "dedupe.db: latest", "dedupe.db: latest_at",  # of numbers whose states have no time
    "correlate.db: purge_key",  # by which it is known what was erased
}  # fmt: skip
_OUTBOX_COLUMNS: Final = 6  # then
_VERSIONS: Final = {"dedupe.db: version": [[3]], "correlate.db: version": [[4]]}  # of the schema then


def without_tables(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows without the tables that the stores had not then, and with the versions that they were."""
    for row in rows:
        if row["what"] not in _TABLES_ADDED:
            yield {**row, "gave": _VERSIONS.get(row["what"], row["gave"])} if row["what"] in _VERSIONS else row


_LAYOUT: Final = {"outbox", "outbox_unsent", "outbox_sent", "outbox_call", "session", "unsent"}


def without_layout(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows without the tables that look otherwise today; of an outbox row whether it was sent, for when."""
    for row in rows:
        what, gave = row["what"], row.get("gave", ())
        if what.startswith("correlate.db: outbox ") and len(gave) == _OUTBOX_COLUMNS:
            yield {**row, "gave": [*gave[:4], int(gave[-1] is not None)]}
        elif what.removeprefix("correlate.db: ") not in _LAYOUT:
            yield row


def numbers_by_the_outbox(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows as if states of numbers always had left by the outbox: after what leaves at once, before all else."""
    for row in rows:
        if row["what"].startswith("correlate.db: outbox ") and str(row["gave"][2]).startswith(_OF_A_NUMBER):
            continue
        gave = row.get("gave")
        if isinstance(gave, dict) and any(said[1].startswith(_OF_A_NUMBER) for said in gave.get("correlate", ())):
            told = sorted(gave["correlate"], key=_rank)
            numbered = zip(told, gave["correlate"], strict=True)
            yield {**row, "gave": {**gave, "correlate": [[*new[:4], old[4], *new[5:]] for new, old in numbered]}}
        else:
            yield row


_OF_A_NUMBER: Final = "number.changed."


def _rank(said: Sequence[Any]) -> int:
    if said[1].startswith(_OF_A_NUMBER):
        return 1
    return 0 if said[1].rpartition(".")[0] in _AT_ONCE else 2


# A dead letter of what nobody can read is known by its content: by its message's id, one of twenty without was kept.
_BY_CONTENT: Final = {"91806e2e-1275-5edb-83cc-3523728630d8": "47d98dec-cbc7-5d47-8574-259758d15d07"}


class WithoutAdditions:
    """Takes rows of a recorded run, in their order; an event comes before whatever else names its id."""

    def __init__(self, told: Sequence[str]) -> None:
        """`told`: bundles of facts, as they come to correlate before the rows that follow from them."""
        self._ids: dict[str, str] = dict(_BY_CONTENT)
        self._told = told
        self._read = 0

    def __call__(self, row: Mapping[str, Any] | str) -> Any:
        """The row as the old version would have written it."""
        for bundle in self._told[self._read :]:
            for envelope in json.loads(bundle):
                self._ids |= _ids_of(envelope["body"])
        self._read = len(self._told)
        self._learn(row)
        return self._without(row)

    def _learn(self, value: Any) -> None:
        if isinstance(value, Mapping | list):
            for one in value.values() if isinstance(value, Mapping) else value:
                self._learn(one)
        elif isinstance(value, str) and (event := _EVENT.match(value)) and (said := _SAID.search(value)):
            self._ids[event["id"]] = _event_id(said, event["revision"], without_additions("{" + event["rest"]))

    def _without(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: self._without(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self._without(one) for one in value]
        if not isinstance(value, str):
            return value
        return _UUID.sub(lambda found: self._ids.get(found[0], found[0]), without_additions(value))


def _ids_of(fact: Mapping[str, Any]) -> dict[str, str]:
    """The ids of the events that are made of this fact alone, and what they were then."""
    version, subject = f"{fact['key']}|{fact['fingerprint']}", f"{fact['source']}:{fact['session_id']}"
    return {
        str(uuid5(_NAMESPACE, f"{subject}|{kind}|{version}{more}")): str(
            uuid5(_NAMESPACE, f"{subject}|{kind}|{version}")
        )
        for kind in _AT_ONCE
        for more in (f"|{versioned(kind)}", f"|{fact['id']}|{versioned(kind)}", f"|{fact['id']}")
    }


def _event_id(said: re.Match[str], revision: str, without: str) -> str:
    digest = sha256(without.encode()).hexdigest()
    return str(uuid5(_NAMESPACE, f"{said['subject']}|{said['type']}|{revision}|{digest}"))


def as_then(bodies: Iterable[str]) -> list[str]:
    """Events of today as the old version would have made them, their ids too, sorted."""
    rows = WithoutAdditions([])
    return sorted(rows(body) for body in bodies)
