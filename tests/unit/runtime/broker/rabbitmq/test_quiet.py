"""No body of a message reaches a log through the AMQP client."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import cast

import pytest
from aiormq.abc import AbstractChannel, ChannelFrame, DeliveredMessage
from aiormq.exceptions import InvalidFrameError
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from runtime.broker.rabbitmq.quiet import hush

SECRET = b"+8613800000021"
RETURNED = DeliveredMessage(
    delivery=Basic.Return(312, "NO_ROUTE", "calls", "call.completed.x"),
    header=ContentHeader(body_size=len(SECRET)),
    body=SECRET,
    channel=cast("AbstractChannel", None),
)
FRAMES = [RETURNED, ContentBody(SECRET), ChannelFrame(payload=SECRET, should_close=False), SECRET]


@pytest.fixture(autouse=True)
def hushed(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    hush()
    hush()
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "aiormq"):
        yield


@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING, logging.ERROR])
@pytest.mark.parametrize("name", ["aiormq.channel", "aiormq.connection", "aiormq.connection.marshall", "aio_pika"])
def test_a_record_names_the_type_instead_of_the_body(caplog: pytest.LogCaptureFixture, name: str, level: int) -> None:
    for value in FRAMES:
        logging.getLogger(name).log(level, "Unhandled message %r returning", value)

    assert SECRET.decode() not in caplog.text
    if name != "aio_pika" or level >= logging.INFO:
        assert "Unhandled message '<DeliveredMessage>' returning" in caplog.text


def test_an_exception_that_carries_bytes_is_told_by_its_name(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("aiormq.connection").warning("reader exited abnormally", exc_info=InvalidFrameError(SECRET))

    assert SECRET.decode() not in caplog.text
    assert "reader exited abnormally (InvalidFrameError)" in caplog.text


def test_reasons_and_numbers_are_still_told(caplog: pytest.LogCaptureFixture) -> None:
    refused = ConnectionRefusedError(111, "Connect call failed")
    logging.getLogger("aiormq.connection").error("error when creating transport: %r after %d s", refused, 3)

    assert "Connect call failed" in caplog.text
    assert "after 3 s" in caplog.text


def test_a_connection_that_is_tried_again_and_again_is_not_told_each_time(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("aiormq.connection").error("error when creating transport: %r", ConnectionRefusedError(111))

    assert not caplog.records


def test_frames_are_not_even_formatted_at_debug() -> None:
    logging.getLogger("aiormq").setLevel(logging.NOTSET)
    hush()

    assert not logging.getLogger("aiormq.connection").isEnabledFor(logging.DEBUG)
