"""What a reload says of a config that changed: keys, never values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from console.config_file import checked
from console.reload.changes import as_far_as_taken, differences, needs_restart
from console.reload.sight import sight_of
from workers.config import Config

SOURCE = {"name": "one", "platform": "huawei_privatenumber", "tokens": ["a-token-of-ours"]}
WEBHOOK = {"name": "crm", "kind": "webhook", "url": "https://crm.example.com/x", "secret": "whsec_c2VjcmV0"}


def a_config(**changed: Any) -> Config:
    return checked({"source": [SOURCE], "sink": [WEBHOOK], **changed}, named="test")


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        ({}, []),
        ({"source": [{**SOURCE, "tokens": ["another"], "settle": "3s"}]}, ["source.one.settle", "source.one.tokens"]),
        ({"source": [SOURCE, {**SOURCE, "name": "two"}]}, ["source.two"]),
        ({"source": []}, ["source.one"]),
        ({"sink": [{**WEBHOOK, "secret": "whsec_b3RoZXI="}]}, ["sink.crm.secret"]),
        ({"sink": [{"name": "crm", "kind": "jsonl", "path": "x"}]}, [
            "sink.crm.allow_private", "sink.crm.break_after", "sink.crm.kind", "sink.crm.path", "sink.crm.probe_after",
            "sink.crm.probe_longest", "sink.crm.secret", "sink.crm.secrets", "sink.crm.timeout", "sink.crm.url",
        ]),
        ({"ingest": {"connections": 5}, "broker": "amqp://u@h/v"}, ["broker", "ingest.connections"]),
        ({"retry": {"park": {"schedule": ["5s"]}}}, ["retry.park"]),
    ],
)  # fmt: skip
def test_differences_are_named_by_the_keys_of_the_file(changed: dict[str, Any], keys: list[str]) -> None:
    assert differences(a_config(), a_config(**changed)) == keys


def test_what_needs_a_restart_stays_as_it_was() -> None:
    old, new = a_config(), a_config(source=[], ingest={"connections": 5}, retry={"park": {"schedule": ["5s"]}})
    taken = as_far_as_taken(old, new)
    assert (taken.source, taken.ingest, taken.retry) == ((), old.ingest, old.retry)
    assert [key for key in differences(old, new) if needs_restart(key)] == ["ingest.connections", "retry.park"]


def test_a_secret_that_lies_in_a_file_is_part_of_what_is_seen(tmp_path: Path) -> None:
    secret, config = tmp_path / "secret", tmp_path / "config.toml"
    config.write_text(f'objects = "file:{tmp_path}"\n[[sink]]\nsecret = "file:{secret}"\n')
    seen = [sight_of(config)]
    for text in ("one", "two", "one"):
        secret.write_text(text)
        seen.append(sight_of(config))
    assert seen[1] == seen[3]
    assert len(set(seen)) == 3


def test_a_webhook_has_one_secret_or_several_and_never_neither() -> None:
    bare = {name: value for name, value in WEBHOOK.items() if name != "secret"}
    for wrong in (bare, {**WEBHOOK, "secrets": ["whsec_b3RoZXI="]}):
        with pytest.raises(Exception, match="either secret or secrets"):
            a_config(sink=[wrong])
    assert len(a_config(sink=[{**bare, "secrets": ["whsec_b3RoZXI=", "whsec_c2VjcmV0"]}]).sink[0].keys) == 2  # type: ignore[union-attr]
