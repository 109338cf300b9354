"""`make examples`: the tables of docs/metrics.md, made from the definitions in `runtime/telemetry/`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from runtime.telemetry.families import FAMILIES, PROCESS_FAMILIES
from runtime.telemetry.family import DOOR, EVERY_ROLE, EVERY_STAGE, LABELS, SUPERVISOR, Family

PAGE: Final = Path("docs/metrics.md")

_BEGIN: Final = "<!-- begin: tables, made -->\n"
_END: Final = "<!-- end: tables -->\n"
_HEADINGS: Final = {
    DOOR: "The door (`callstitch ingest`)",
    EVERY_STAGE: "Every stage (`callstitch work STAGE`)",
    "": "Some stages",
    EVERY_ROLE: "Every process",
    SUPERVISOR: "The supervisor of `--processes N`",
}


def renewed(page: str) -> str:
    """The text of the page with the tables of today."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return "\n".join([before + _BEGIN, *_sections(), _label_section(), _END + after])


def _sections() -> Iterator[str]:
    for role, heading in _HEADINGS.items():
        families = [one for one in (*FAMILIES, *PROCESS_FAMILIES) if _heading_of(one) == role]
        yield f"## {heading}\n\n{_table(families, whose=not role)}"


def _heading_of(family: Family) -> str:
    return family.role if family.role in _HEADINGS else ""


def _table(families: Sequence[Family], *, whose: bool) -> str:
    """`whose`: with a column for the role."""
    head = ["metric", "type", *(["role"] if whose else []), "labels", "unit", "meaning", "join by"]
    rows = [
        [
            f"`{one.name}`",
            one.type,
            *([_code(one.role.split(", "))] if whose else []),
            _code(one.labels),
            one.unit,
            one.meaning,
            one.over,
        ]
        for one in families
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *rows])


def _code(words: Sequence[str]) -> str:
    return " ".join(f"`{word}`" for word in words)


def _label_section() -> str:
    rows = [f"| `{label}` | {meaning} |" for label, meaning in LABELS.items()]
    return "\n".join(["## Labels", "", "| label | holds |", "| --- | --- |", *rows, ""])


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
