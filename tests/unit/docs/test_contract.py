"""The design and the contract name what the code has: a name that is new here has to enter there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from runtime.broker.base import Broker
from schemas import errors
from schemas.envelope import BUNDLE_BYTES, BUNDLE_CONTENT_TYPE, BUNDLE_ENVELOPES
from schemas.facts import FactKind
from schemas.question import Decision, Question
from schemas.topology import RETRY_DELAYS, topology
from schemas.vocabulary import Action

ROOT = Path(__file__).parents[3]


def section(page: str, number: int) -> str:
    text = (ROOT / "docs" / page).read_text()
    found = re.search(rf"^## {number}\. .*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


def words(text: str) -> set[str]:
    """Whatever stands between backticks, taken apart."""
    return {word for code in re.findall(r"`([^`]+)`", text) for word in re.findall(r"[\w.-]+", code)}


def test_every_field_of_a_question_and_its_answer_is_in_the_contract() -> None:
    told = words(section("contract.md", 3))
    assert (set(Question.model_fields) | set(Decision.model_fields) | set(get_args(Action))) - told == set()


def test_every_queue_is_in_the_table_of_the_design() -> None:
    told = section("design.md", 4)
    names = {re.sub(rf"\.({'|'.join(RETRY_DELAYS)})\.", ".<delay>.", queue.name) for queue in topology([]).queues}
    assert [name for name in sorted(names) if f"`{name}`" not in told] == []


def test_the_limits_and_the_delay_tiers_are_those_of_the_design() -> None:
    told = section("design.md", 3)
    assert f"{BUNDLE_ENVELOPES} envelopes or {BUNDLE_BYTES // 1024} KiB" in told
    assert f"({' '.join(RETRY_DELAYS)};" in told
    assert BUNDLE_CONTENT_TYPE in told


def test_every_error_is_in_the_design() -> None:
    tree = [name for name, kind in vars(errors).items() if isinstance(kind, type) and name != "CallstitchError"]
    assert [name for name in tree if not re.search(rf"\b{name}\b", section("design.md", 3))] == []


def test_every_kind_of_fact_is_in_the_design() -> None:
    kinds = {kind for name, kind in vars(FactKind).items() if name.isupper()}
    assert kinds - words(section("design.md", 5)) == set()


def test_every_method_of_the_broker_is_in_the_design() -> None:
    methods = {name for name in vars(Broker) if not name.startswith("_")}
    assert methods - words(section("design.md", 7)) == set()
