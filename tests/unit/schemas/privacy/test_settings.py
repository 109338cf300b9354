"""What a table of the config says of what its outlet sees, and what cannot be said."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from console.config_file import load_config
from schemas.errors import Misconfigured
from schemas.privacy.view import View
from tests.building.tree import ROOT

KEY: Final = "0123456789abcdef"
QUEUE: Final = 'broker = "amqp://u@h/v"\n[[queue]]\nname = "b"\n'
SINK: Final = '[[sink]]\nname = "f"\nkind = "jsonl"\npath = "f"\n'
FAULTS: Final = {
    "tokens without a key": (f'{QUEUE}fields = {{numbers = "token"}}', "queue.0: token needs a token_key"),
    "masked numbers without a key": (f'{QUEUE}fields = {{numbers = "mask"}}', 'numbers = "mask" needs a token_key'),
    "no numbers without a key": (f'{SINK}fields = {{numbers = "drop"}}', 'numbers = "drop" needs a token_key'),
    "a key that is short": (f'{QUEUE}token_key = "{KEY[:15]}"', "queue.0.token_key: a token_key has at least 16"),
    "a field that nobody knows": (f'{QUEUE}fields = {{names = "mask"}}', "queue.0.fields.names"),
    "a manner that nobody knows": (f'{QUEUE}fields = {{text = "{KEY}"}}', "queue.0.fields.text"),
    "no fields": (f"{QUEUE}fields = {{}}", "queue.0.fields: names none"),
    "a part that cannot be dropped": (f'{QUEUE}drop = ["{KEY}"]', "queue.0.drop.0"),
    "a batch of binary events": (f'{QUEUE}batch = true\ncontent = "binary"', "queue.0: a batch has no binary content"),
    "a form that nobody knows": (f'{QUEUE}content = "{KEY}"', "queue.0.content"),
    "a sink's tokens without a key": (f'{SINK}fields = {{user_data = "token"}}', "sink.0.jsonl: token needs a"),
}  # fmt: skip
# The same event in another process, whose hashes of texts are other ones.
PROGRAM: Final = """
from tests.unit.schemas.privacy.test_view import A, KEY, View, a_call, an_event
raw = {"to": A, "x": [{"tel:" + A: 1}], "note": "call " + A}
for manner in ("mask", "token", "drop"):
    event = View(numbers=manner, text="token", key=KEY, without=frozenset({"timeline"}))(an_event(call=a_call(raw)))
    print(event.id, event.body)
"""


@pytest.mark.parametrize(("text", "told"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_is_told_by_its_key_and_without_its_value(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(Misconfigured, match=re.escape(told)) as refused:
        load_config(path, {})
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("keys", "view"),
    [
        ("", None),
        ('content = "binary"', None),
        ('drop = ["raw"]', View(without=frozenset({"raw"}))),
        ('fields = {text = "mask"}', View(text="mask")),
        (f'fields = {{numbers = "mask"}}\ntoken_key = "{KEY}"', View(numbers="mask", key=KEY.encode())),
        (f'fields = {{text = "token"}}\ntoken_key = "{KEY}"', View(text="token", key=KEY.encode())),
    ],
)
def test_a_queue_whose_bytes_are_others_is_fed(tmp_path: Path, keys: str, view: View | None) -> None:
    path = tmp_path / "config.toml"
    path.write_text(QUEUE + keys)
    (queue,) = load_config(path, {}).queue
    assert (queue.view, queue.fed) == (view, keys != "")
    assert queue.form == ("binary" if "content" in keys else "structured")


def test_the_same_event_has_the_same_bytes_in_every_process() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1
    assert b"3866887021" not in told.pop().replace(b"13866887021a", b"").replace(b"0" * 53 + b"13866887021", b"")
