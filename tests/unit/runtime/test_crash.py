"""What the variable of the crash points means; that a process dies of it is shown in tests/scenarios."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

from runtime.crash import EXIT_CODE, POINTS, VARIABLE, crash_points, never
from schemas.envelope import Envelope, Kind
from schemas.errors import Misconfigured
from tests.building.facts import T0


class Died(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def _no_real_death(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(code: int) -> None:
        assert code == EXIT_CODE
        raise Died

    monkeypatch.setattr(os, "_exit", die)


def an_envelope(text: str) -> Envelope:
    return Envelope(id="e", kind=Kind.NOTIFICATION, source="s", at=T0, body={"text": text})


def deaths(wanted: str, reached: Iterable[tuple[str, str]], *, stage: str = "dedupe") -> list[int]:
    """At which of these points, each reached with a batch that holds that text, the process would die."""
    point = crash_points(stage, {VARIABLE: wanted})
    found = []
    for n, (name, text) in enumerate(reached):
        try:
            point(name, [an_envelope("healthy"), an_envelope(text)])
        except Died:
            found.append(n)
    return found


EVERY_POINT = [(name, "") for name in POINTS]


@pytest.mark.parametrize("environ", [{}, {VARIABLE: ""}], ids=["unset", "empty"])
def test_without_the_variable_nothing_happens(environ: dict[str, str]) -> None:
    assert crash_points("dedupe", environ) is never
    never("before_handle", [])


def test_another_stage_goes_on() -> None:
    assert crash_points("correlate", {VARIABLE: "dedupe.before_handle"}) is never
    assert crash_points("fan_out.crm", {VARIABLE: "fan_out.file.after_ack=x"}) is never


@pytest.mark.parametrize("n", range(len(POINTS)), ids=POINTS)
def test_it_dies_at_its_own_point_only(n: int) -> None:
    assert deaths(f"dedupe.{POINTS[n]}", EVERY_POINT)[:1] == [n]


def test_a_sink_has_a_dot_in_its_stage() -> None:
    assert deaths("fan_out.file.after_mark", EVERY_POINT, stage="fan_out.file")[:1] == [POINTS.index("after_mark")]


def test_it_dies_the_nth_time() -> None:
    passed = [("after_publish", ""), ("before_handle", "")] * 3
    assert deaths("dedupe.before_handle:2", passed)[:1] == [3]


@pytest.mark.parametrize("point", POINTS)
def test_it_dies_each_time_a_batch_holds_the_text(point: str) -> None:
    assert deaths(f"dedupe.{point}=a:b=c", [(point, "a"), (point, "x a:b=c y"), (point, ""), (point, "a:b=c")]) == [
        1,
        3,
    ]


def test_an_empty_batch_holds_no_text() -> None:
    crash_points("dedupe", {VARIABLE: "dedupe.after_publish=poison"})("after_publish", [])


@pytest.mark.parametrize(
    "wanted",
    [
        "dedupe",
        "before_handle.dedupe",
        "dedupe.somewhere",
        "dedupe.before_handle:0",
        "dedupe.before_handle:-1",
        "dedupe.before_handle:x",
        "dedupe.before_handle:²",
        "dedupe.before_handle:2=poison",
    ],
)
def test_a_variable_that_names_no_point_ends_the_start_with_what_it_should_be(wanted: str) -> None:
    """In every stage, also in one that it does not mean: a misspelt point must not look like a stage that survived."""
    for stage in ("dedupe", "correlate"):
        with pytest.raises(Misconfigured, match=r"STAGE\.POINT=TEXT; before_handle, after_handle"):
            crash_points(stage, {VARIABLE: wanted})
