"""A number state that came without its time: what came back is news; by content it would be a repetition for a week.

docs/design.md section 5.
"""

from __future__ import annotations

from schemas.dialect.items import repeats_only_the_latest
from schemas.envelope import JsonObject
from schemas.facts import NumberState, Parsed
from schemas.platforms.aliyun import DIALECT
from schemas.platforms.aliyun.settings import AliyunSource
from tests.building.pushes import a_push

SOURCE = AliyunSource(name="ali", platform="aliyun_pnp", tokens=["t" * 32])


def state(row: JsonObject) -> Parsed:
    (item,) = DIALECT.parse(a_push([row], path="/NumberManagementReport"), SOURCE)
    assert isinstance(item, Parsed)
    return item


def test_it_is_known_by_its_number_however_that_is_spelled() -> None:
    told = state({"secretNo": "17000000002", "status": "2"})
    assert (told.kind, told.body) == ("number_state", NumberState(raw={"secretNo": "17000000002", "status": "2"}))
    assert repeats_only_the_latest(told.key)
    assert told.key == state({"secret_no": "+86 170-0000-0002", "status": "1"}).key != state({"secretNo": "1"}).key


def test_one_that_holds_its_time_or_names_no_number_is_known_by_its_content() -> None:
    told = state({"secretNo": "17000000002", "status": "2", "operatingTime": "2024-03-05 09:00:00"})
    assert not repeats_only_the_latest(told.key)
    assert not repeats_only_the_latest(state({"status": "1"}).key)
