"""Regression: a peer that hung up in the handshake ended the task that reconnects, and the role never came back.

A broker that stops or starts does so, and a proxy with no broker behind it (found by `make chaos`).
"""

from __future__ import annotations

import asyncio

import pytest
from aiormq.connection import FrameReceiver

from runtime.broker.rabbitmq_link import Lost, gone_is_lost


async def test_a_peer_that_hung_up_before_we_listened_is_lost_and_not_the_end_of_reconnecting() -> None:
    reader = asyncio.StreamReader()
    reader.feed_eof()
    with pytest.raises(Lost), gone_is_lost():
        await FrameReceiver(reader).get_frame()
