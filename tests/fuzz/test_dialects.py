"""Whatever bytes reach a dialect, the whole contract holds: some seconds of what `make fuzz` does for an hour."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.platforms import DIALECTS
from tests.contracts.platforms import sources
from tests.fuzz.hostile import hostile
from tests.fuzz.promises import keeps_all_promises

EXAMPLES = 600


@pytest.mark.parametrize("platform", DIALECTS)
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(data=st.data())
def test_whatever_is_pushed_the_whole_contract_holds(platform: str, data: st.DataObject) -> None:
    dialect = DIALECTS[platform]
    push, source = data.draw(hostile(dialect)), data.draw(st.sampled_from(sources(dialect)))
    keeps_all_promises(dialect, push, source)
