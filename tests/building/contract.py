"""What docs/contract holds for other teams: the schema of each event, and one event of each kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from schemas.envelope import Envelope, JsonObject, Kind
from schemas.stage import Fed, Form
from tests.building.facts import T0
from tests.building.pages import ROOT

CONTRACT: Final = ROOT / "docs" / "contract"
SCHEMAS: Final[Mapping[str, JsonObject]] = {
    file.name.removesuffix(".json"): json.loads(file.read_text())
    for file in sorted((CONTRACT / "schemas").glob("*.json"))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """One event of them, by the name of its file."""

    name: str
    event: JsonObject

    @property
    def type(self) -> str:
        """Its short type."""
        return str(self.event["type"]).removeprefix("callstitch.").removesuffix(".v1")

    @property
    def attributes(self) -> JsonObject:
        """What it says beside its data."""
        return {name: value for name, value in self.event.items() if name != "data"}

    @property
    def envelope(self) -> Envelope:
        """The same on its way out."""
        source = self.event["source"].rpartition("/")[2]
        body, route = orjson.dumps(self.event), f"{self.type}.{source}"
        return Envelope(id=self.event["id"], kind=Kind.EVENT, source=source, at=T0, body=body, route=route)

    def fed(self, queue: str, form: Form) -> Fed:
        """The same as the stage `feed` has it, for that queue."""
        event = self.envelope
        return Fed(
            id=event.id,
            kind=event.kind,
            source=event.source,
            at=event.at,
            body=event.body,
            route=event.route,
            of=event,
            queue=queue,
            form=form,
        )


GOLDEN: Final = [
    Golden(name=file.name.removesuffix(".json"), event=json.loads(file.read_text()))
    for file in sorted((CONTRACT / "events").glob("*.json"))
]
