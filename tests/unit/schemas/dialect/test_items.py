"""Keys: each begins with the word of its kind, only items.py spells one, and the word says whether sessions keep it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

import pytest

from schemas.dialect import items
from schemas.errors import Malformed
from schemas.facts import FactKind, KindOfFact, Parsed
from schemas.notification import Notification
from schemas.platforms import DIALECTS
from tests.building.samples import SAMPLES_OF_ALL

ROOT: Final = Path(__file__).parents[4]
ITEMS: Final = ROOT / "schemas" / "dialect" / "items.py"
PACKAGES: Final = ("schemas", "ingest", "runtime", "workers", "console")
KINDS: Final[tuple[KindOfFact, ...]] = get_args(KindOfFact)
FOLDED: Final = {FactKind.ANNOUNCEMENT, FactKind.CALL_EVENT, FactKind.CDR, FactKind.SMS}
NUMBERS: Final = dict.fromkeys((items.NUMBER_BY_CONTENT, items.NUMBER_BY_LATEST), FactKind.NUMBER_STATE)
WORDS: Final = {**{word: kind for kind, word in items.WORDS.items()}, **NUMBERS}


def test_every_kind_of_fact_has_a_word_of_its_own() -> None:
    assert set(items.WORDS) == set(KINDS)
    assert len(WORDS) == len(items.WORDS) + 2
    assert not any("|" in word for word in WORDS)


def test_the_words_are_those_of_claims_already_made() -> None:
    """Claims live for a week: another word tells a week of calls again."""
    assert WORDS == {
        "event": "call_event",
        "cdr": "cdr",
        "announcement": "announcement",
        "recording": "recording",
        "sms": "sms",
        "number_state": "number_state",
        "number": "number_state",
        "number_latest": "number_state",
        "decided": "decision",
        "other": "other",
    }


def test_the_samples_have_every_kind_that_is_told_by_all_platforms() -> None:
    found = {item.kind for sample in SAMPLES_OF_ALL.rglob("*.*") for item in parsed(sample)}
    assert {FactKind.CALL_EVENT, FactKind.CDR, FactKind.SMS, FactKind.NUMBER_STATE, FactKind.OTHER} <= found


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_folds_by_its_whole_first_word(kind: KindOfFact) -> None:
    assert items.folds(items.key_of(kind, "s1")) == (kind in FOLDED)
    assert not items.folds(items.WORDS[kind])
    assert not items.folds(f"{items.WORDS[kind]}s|s1")


def test_the_state_of_a_number_without_a_time_is_known_by_the_number_however_it_is_spelled() -> None:
    spelled = ["+8617000000051", "17000000051", "008617000000051", "86 170-0000-0051"]
    states = [items.latest_number_state({"status": 9}, number=number) for number in spelled]
    assert len({state.key for state in states}) == 1
    assert not any(digits in states[0].key for digits in ("17000000051", "70000000"))
    assert items.repeats_only_the_latest(states[0].key)
    assert not items.folds(states[0].key)
    assert not items.repeats_only_the_latest(items.number_state({"status": 9}).key)
    assert not items.repeats_only_the_latest(items.number_state({"status": 9}, sent=b"9").key)


def test_no_other_file_spells_a_key_or_makes_an_item() -> None:
    files = [
        path for name in ("schemas", "ingest", "runtime", "workers", "console") for path in (ROOT / name).rglob("*.py")
    ]
    assert ITEMS in files
    found = {str(path.relative_to(ROOT)): list(spelled(path.read_text())) for path in files if path != ITEMS}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        'key = f"cdr|{session_id}"',
        'key = "|".join(["event", session_id])',
        'key = "|".join(("sms", session_id))',
        'key = "other|" + digest',
        'is_cdr = key.startswith("cdr|")',
        "item = Parsed(kind=kind, key=key)",
        "item = facts.Parsed(kind=kind, key=key)",
    ],
)
def test_what_spells_a_key_or_makes_an_item_is_seen(source: str) -> None:
    assert list(spelled(source)) == [1]


def spelled(source: str) -> Iterator[int]:
    """The lines on which a key's first word stands before its bar, or a Parsed is built."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)) if text.partition("|")[0] in WORDS and "|" in text:
                yield node.lineno
            case ast.Call(
                func=ast.Attribute(value=ast.Constant(value="|"), attr="join"),
                args=[ast.List(elts=[ast.Constant(value=word), *_]) | ast.Tuple(elts=[ast.Constant(value=word), *_])],
            ) if word in WORDS:
                yield node.lineno
            case ast.Call(func=ast.Name(id="Parsed") | ast.Attribute(attr="Parsed")):
                yield node.lineno


def parsed(sample: Path) -> list[Parsed]:
    """What a sample holds; nothing where it is no notification."""
    platform = sample.parent.name
    dialect = DIALECTS[platform]
    source = dialect.settings.model_validate({"name": "s", "platform": platform, "tokens": ["t"]})
    body = sample.read_bytes()
    kind = "application/xml" if body[:1] == b"<" else "application/json"
    try:
        found = dialect.parse(Notification(path="", remote="192.0.2.1", content_type=kind, body=body), source)
    except Malformed:
        return []
    return [item for item in found if isinstance(item, Parsed)]
