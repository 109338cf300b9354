"""The same seed gives the same traffic, byte for byte: what a run of an older version told can be played again.

The digests were made by version 7189888. Whoever means to change what is played makes them anew, and says so.
PrivateNumber's are of a later one, which has the documented body of a number state in place of a made-up one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from console.emulator.act import Act, Heard, Request
from console.emulator.acts import build_act
from console.emulator.push import Item
from console.emulator.recordings import Recordings
from console.emulator.settings import EmulatorSettings

START: Final = datetime(2026, 11, 21, 2, 30, 3, tzinfo=UTC)
LETS_GO: Final[dict[str, bytes]] = {
    "callin": b'{"operation":"connect","connectInfo":{"calleeNum":"+8613800138000"}}',
    "Block": b'{"actions":[{"operation":"DiscardMessage"}]}',
    "question": b'{"code":"OK","model":{"controlOperate":"CONTINUE","subsId":"7","calledNo":"13800138000"}}',
}
PLAYED: Final[dict[tuple[str, bool], str]] = {
    ("huawei_privatenumber", False): "1c84b323cc48122c28b830c68bf1ec4d89940685213da004c857a3c4ccfeebc8",
    ("huawei_privatenumber", True): "83402a1dd3edcd498d35763f38766256107ff9a017357459608a8da46284a685",
    ("huawei_voicecall", False): "549fbf57297e62965786bd25416768ede7dd2dfcffdb20ac3eab39b57d2dde5c",
    ("aliyun_pnp", False): "2fef170ee74083fa33119939c575c860e3c60c23f3ddc374b75eaf8190b73649",
    ("aliyun_pnp", True): "2f172471a7b2478f47e3d558088eebafaba44f9fdbd8382b813ea230437e0f43",
    ("jiuyun_axb", False): "83c4b4b6c738713dada1dde2ea9683583e69a2d6ff0f90877ad7c93f47b048dd",
}


@pytest.mark.parametrize(("platform", "ask"), PLAYED)
def test_a_play_posts_what_it_always_posted(platform: str, ask: bool) -> None:
    assert played(platform, ask=ask) == PLAYED[platform, ask]


def played(platform: str, *, ask: bool) -> str:
    """The digest of all that a play with these settings says, where every third question gets no answer."""
    settings = EmulatorSettings(
        to=f"http://127.0.0.1:9/v1/{platform}/token",
        platform=platform,
        app_key="KEY",
        app_secret="secret",
        start=START,
        seed=7,
        calls=300,
        messages=60,
        ask=ask,
    )
    recordings = Recordings(seed=7, app_key="KEY", app_secret="secret", audio_port=9)
    act = build_act(settings, recordings)
    digest = hashlib.sha256()
    for line in said(platform, act, settings.to):
        digest.update(json.dumps(line, sort_keys=True, default=str).encode() + b"\n")
    return digest.hexdigest()


def said(platform: str, act: Act, base: str) -> Iterator[Any]:
    """Every post as it goes out, and in the end what each record must be."""
    yield [platform, act.sessions, act.messages, act.sought, act.repush_minutes]
    yield [act.reply_seconds, act.answer_seconds]
    accepted: dict[int, list[Item]] = {}
    for push in act.pushes:
        sent = act.as_it_went(push)
        if sent is None:
            yield [push.n, None]
            continue
        body = sent.body(app_key="KEY")
        request = Request(url=base + sent.form.path, body=body, headers={"Content-Type": sent.form.content_type})
        signed = act.sign(request, sent, f"nonce{sent.n}", START + timedelta(seconds=sent.n))
        yield [sent.n, sent.pause_minutes, sent.again, sent.asks, signed.url, signed.body.hex(), dict(signed.headers)]
        yield act.faults(sent, Heard(status=200, content_type="text/plain", body=b"ok"))
        if sent.asks:
            answer = Heard(status=200, content_type="application/json", body=LETS_GO[sent.items[0].name])
            act.hear(sent, answer if sent.n % 3 else None)
        for item in sent.items:
            accepted.setdefault(item.call, []).append(item)
    for number in [*act.sessions, *act.messages]:
        yield act.expect(number, accepted.get(number, []))
