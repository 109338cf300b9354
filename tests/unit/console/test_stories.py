"""The samples that `callstitch sample` tells: each published push belongs to a story, and each story is whole."""

from __future__ import annotations

import pytest

from console.stories import STORIES, Push, Story
from tests.building.samples import SAMPLES_OF_ALL
from tests.e2e.platforms import published

LEFT_OUT = {
    ("huawei_privatenumber", "ax-sms-block.json"),  # a question
    ("aliyun_pnp", "xmode_call_control_request.form"),  # a question, of 2024
    ("huawei_privatenumber", "axb-sms-notify.json"),  # the notice of AX again
    ("huawei_privatenumber", "x-sms-notify.json"),
    ("huawei_privatenumber", "axyb-fee-servicetype-003.json"),  # the CDR of AXYB again, under the code of AX
    ("jiuyun_axb", "axb_hangup_wrapped.INFERRED.json"),  # nobody published it
}


@pytest.fixture(params=STORIES)
def story(request: pytest.FixtureRequest) -> Story:
    return STORIES[request.param]


def test_every_published_push_is_in_a_story_or_left_out_for_a_reason() -> None:
    told = {(push.platform, push.file) for story in STORIES.values() for push in story.pushes}
    assert told | LEFT_OUT == published()
    assert told & LEFT_OUT == set()


def test_every_platform_that_has_samples_has_a_story() -> None:
    assert {story.platform for story in STORIES.values()} == {entry.name for entry in SAMPLES_OF_ALL.iterdir()}


def test_a_push_has_the_very_bytes_of_its_file(story: Story) -> None:
    for push in story.pushes:
        assert push.body == (SAMPLES_OF_ALL / push.platform / push.file).read_bytes()


def test_the_calls_that_a_story_names_are_in_its_pushes(story: Story) -> None:
    bodies = b"".join(push.body for push in story.pushes)
    assert [call for call in story.calls if call.encode() not in bodies] == []


def test_a_story_is_one_line_of_a_terminal(story: Story) -> None:
    assert len(story.words) <= 62


@pytest.mark.parametrize(
    ("file", "content_type"),
    [("axyb-fee.json", "application/json;charset=UTF-8"), ("axb_hangup.xml", "application/xml;charset=utf-8")],
)
def test_a_body_is_called_what_its_platform_calls_it(file: str, content_type: str) -> None:
    assert Push(platform="any", file=file).content_type == content_type
