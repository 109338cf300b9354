"""docs/metrics.md is what its definitions make, and the definitions keep the rules of Prometheus and ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.reference.metrics import PAGE, renewed
from runtime.telemetry.families import FAMILIES, PROCESS_FAMILIES
from runtime.telemetry.family import LABELS, Family

ROOT = Path(__file__).parents[3]


def test_the_page_is_what_the_definitions_make() -> None:
    page = (ROOT / PAGE).read_text()
    assert page == renewed(page), "make examples writes it anew"


@pytest.mark.parametrize("family", [*FAMILIES, *PROCESS_FAMILIES], ids=lambda family: family.name)
def test_a_counter_ends_in_total_and_each_label_is_told(family: Family) -> None:
    assert family.name.endswith("_total") == (family.type == "counter")
    assert set(family.labels) <= LABELS.keys()


def test_no_metric_is_defined_twice() -> None:
    names = [family.name for family in FAMILIES]
    assert sorted(set(names)) == sorted(names)
