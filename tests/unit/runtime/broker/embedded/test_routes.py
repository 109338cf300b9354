from __future__ import annotations

import pytest

from runtime.broker.embedded.routes import Routes, matches
from schemas.topology import Binding, Exchange


@pytest.mark.parametrize(
    ("pattern", "key", "fits"),
    [
        ("call.completed.*", "call.completed.huawei-bj", True),
        ("call.completed.*", "call.completed", False),
        ("call.completed.*", "call.completed.a.b", False),
        ("call.completed.#", "call.completed", True),
        ("call.completed.#", "call.completed.a.b", True),
        ("#", "", True),
        ("#", "a.b.c", True),
        ("#.c", "c", True),
        ("#.c", "a.b.c", True),
        ("#.c", "a.b.d", False),
        ("a.#.d.*", "a.d.d.e", True),
        ("a.#.d.*", "a.b.c", False),
        ("*.*", "a.b", True),
        ("*", "a.b", False),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_a_topic_pattern_fits_as_in_rabbitmq(pattern: str, key: str, *, fits: bool) -> None:
    assert matches(pattern.split("."), key.split(".")) is fits


def test_alternate_exchanges_that_name_each_other_end() -> None:
    exchanges = [Exchange(name="a", kind="topic", alternate="b"), Exchange(name="b", kind="topic", alternate="a")]
    routes = Routes(exchanges=exchanges, queues=["q"], bindings=[Binding(exchange="b", queue="q", pattern="kept")])
    assert routes.targets("a", "kept") == ("q",)
    assert routes.targets("a", "unknown") == ()
    assert routes.targets("no-such-exchange", "kept") == ()
