"""Reading the config: every fault is named by its key, and no value is ever told."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from console.config_file import load_config, shown
from schemas.errors import Misconfigured
from schemas.platforms import DIALECTS

VALUE = "hunter2-value"
SOURCE = '[[source]]\nname = "huawei"\nplatform = "huawei_privatenumber"\n'
RABBITMQ = 'broker = "amqp://u@h/v"\n'
VOICECALL = SOURCE.replace("privatenumber", "voicecall")
ALIYUN = SOURCE.replace("huawei_privatenumber", "aliyun_pnp")

FAULTS = {
    "an unknown key": (f'{SOURCE}tokens = ["{VALUE}"]\nappsecret = "{VALUE}"', "source.0.appsecret"),
    "an unknown top key": (f'brokre = "{VALUE}"', "brokre"),
    "a secret that is not in the environment": (f'{SOURCE}tokens = ["env:CALLSTITCH_NOT_SET"]', "CALLSTITCH_NOT_SET"),
    "a secret's file that is not there": (f'{SOURCE}tokens = ["file:no-such-file"]', "no-such-file"),
    "a duration that is none": (f'{SOURCE}tokens = ["x"]\nsettle = "{VALUE}"', "source.0.settle"),
    "a duration of nothing": (f'{SOURCE}tokens = ["x"]\nsettle = "0s"', "source.0.settle"),
    "no tokens": (f'{SOURCE}app_secret = "{VALUE}"', "source.0.tokens"),
    "an empty list of tokens": (f"{SOURCE}tokens = []", "source.0.tokens"),
    "an empty token": (f'{SOURCE}tokens = [""]', "source.0.tokens.0"),
    "a token that is no path segment": (f'{SOURCE}tokens = ["{VALUE}/x"]', "source.0.tokens.0"),
    "an empty secret": (f'{SOURCE}tokens = ["x"]\nverify = "always"\napp_secret = ""', "source.0.app_secret"),
    "a queue by one of our names": ('[[queue]]\nname = "callstitch.received.v1"', "queue.0.name"),
    "a queue that wants nothing": ('[[queue]]\nname = "billing"\nevents = []', "queue.0.events"),
    "a source that is not there": (f'{RABBITMQ}[[queue]]\nname = "billing"\nsources = ["nobody"]', "billing"),
    "a queue that nobody else could read": ('[[queue]]\nname = "billing"', "a [[queue]] needs RabbitMQ"),
    "a stream of one": (f'{RABBITMQ}[[queue]]\nname = "b"\nstream = true\nsingle_active = true', "a stream has no sin"),
    "always to verify, without a secret": (f'{SOURCE}tokens = ["{VALUE}"]\nverify = "always"', "app_secret"),
    "a name that is no word": (f'{SOURCE}tokens = ["x"]'.replace('"huawei"', f'"{VALUE} !"'), "source.0.name"),
    "two sources of one name": (f'{SOURCE}tokens = ["{VALUE}"]\n' * 2, "[[source]]"),
    "a platform that nobody knows": (SOURCE.replace("huawei_privatenumber", VALUE), "source.0.platform"),
    "a sink that nobody knows": (f'[[sink]]\nname = "crm"\nkind = "{VALUE}"', "sink.0"),
    "an event that nobody knows": (f'[[queue]]\nname = "billing"\nevents = ["{VALUE}"]', "queue.0.events"),
    "a broker that is no text": ("broker = 7", "broker: must be a string in quotes"),
    "a store that is a table": ('[store]\ntext = "sqlite:x"', "store: must be a string in quotes"),
    "a broker that nobody knows": (f'broker = "kafka://{VALUE}"', "broker: must be embedded:PATH, amqp://..."),
    "a store that nobody knows": (f'store = "mysql:{VALUE}"', "store: must be sqlite:DIR or postgresql://..."),
    "an object store that nobody knows": (f'objects = "ftp://{VALUE}"', "objects: must be file:DIR or s3://bucket"),
    "a table that is a text": (f'ingest = "{VALUE}"', "ingest"),
    "a wait that no delay queue has": (
        '[retry.fetch_recording]\nschedule = ["1s", "32m"]',
        "retry.fetch_recording.schedule.1",
    ),
    "a wait that is no duration": (f'[retry.park]\nunexpected = ["{VALUE}"]', "retry.park.unexpected.0"),
    "a wait that is a number": (
        "[retry.fan_out]\nschedule = [30]",
        "one of the delay queues: 1s, 5s, 30s, 2m, 10m, 1h, 6h",
    ),
    "a schedule that is no list": ('[retry.fan_out]\nschedule = "1s"', "retry.fan_out.schedule"),
    "retries of no stage": ('[retry.ingest]\nschedule = ["1s"]', "retry.ingest"),
    "an unknown key of retries": (f'[retry.dedupe]\njitter = "{VALUE}"', "retry.dedupe.jitter"),
    "a secret's variable that is empty": (
        f'{SOURCE}tokens = ["x"]\napp_secret = "env:CALLSTITCH_EMPTY"',
        "source.0.app_secret: the environment variable CALLSTITCH_EMPTY is not set, or empty",
    ),
    "a push_url that is not in the environment": (
        f'{VOICECALL}tokens = ["x"]\npush_url = "env:CALLSTITCH_NOT_SET"',
        "source.0.push_url: the environment variable CALLSTITCH_NOT_SET",
    ),
    "a control_secret that is not in the environment": (
        f'{ALIYUN}tokens = ["x"]\ncontrol_secret = "env:CALLSTITCH_NOT_SET"',
        "source.0.control_secret: the environment variable CALLSTITCH_NOT_SET",
    ),
    "an app_key that is not in the environment": (
        f'{SOURCE}tokens = ["x"]\napp_key = "env:CALLSTITCH_NOT_SET"',
        "source.0.app_key: the environment variable CALLSTITCH_NOT_SET",
    ),
    "a secret's file that is no text": (f'{SOURCE}tokens = ["file:/bin/sh"]', "/bin/sh: it is not UTF-8 text"),
    "a push_url that is no URL": (f'{VOICECALL}tokens = ["x"]\npush_url = "{VALUE}"', "source.0.push_url: a URL"),
    "a recording_api without a scheme": (
        f'{SOURCE}tokens = ["x"]\nrecording_api = "{VALUE}.example.com"',
        "source.0.recording_api: a URL",
    ),
    "a recording host with a scheme": (
        f'{SOURCE}tokens = ["x"]\nrecording_hosts = ["https://{VALUE}.example.com"]',
        "source.0.recording_hosts.0: a host",
    ),
    "a webhook without a scheme": (
        f'[[sink]]\nname = "crm"\nkind = "webhook"\nurl = "crm.example.com"\nsecret = "{VALUE}"',
        "sink.0.webhook.url: a URL",
    ),
    "a webhook that is no URL": (
        f'[[sink]]\nname = "crm"\nkind = "webhook"\nurl = "{VALUE}"\nsecret = "{VALUE}"',
        "sink.0.webhook.url: a URL",
    ),
    "a sink without a kind": ('[[sink]]\nname = "crm"', "sink.0: its kind is missing"),
    "an address without a port": (f'[ingest]\nlisten = "{VALUE}"', "ingest.listen: an address is host:port"),
    "a port that is none": ('[ingest]\nlisten = "127.0.0.1:99999"', "ingest.listen: an address is host:port"),
    "a key that is missing": ('[[queue]]\nevents = ["call.completed"]', "queue.0.name: is missing"),
    "one table where many may be": ('[queue]\nname = "billing"', "queue: write [[queue]]"),
    "a rule with an unknown key": (
        f'[[rule]]\nsource = "x"\naction = "close"\nwhen = "{VALUE}"',
        "rule.0.when: unknown key",
    ),
    "no TOML": (f"broker = {VALUE}", "config.toml"),
}


def test_a_list_of_wrong_items_is_not_called_empty_too(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'{SOURCE}tokens = ["env:CALLSTITCH_NOT_SET"]')
    with pytest.raises(Misconfigured) as raised:
        load_config(file, {})
    fault = "source.0.tokens.0: the environment variable CALLSTITCH_NOT_SET is not set, or empty"
    assert str(raised.value) == f"{file}: {fault}"


@pytest.mark.parametrize(("text", "key"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("environ", [{}, {"CALLSTITCH_BROKER_PASSWORD": "p", "CALLSTITCH_INGEST_ADMIN": "a:1"}])
def test_a_fault_is_named_by_its_key_and_no_value_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, key: str, environ: dict[str, str]
) -> None:
    monkeypatch.setenv("CALLSTITCH_EMPTY", "")
    path = tmp_path / "config.toml"
    path.write_text(text)

    with pytest.raises(Misconfigured, match=re.escape(key)) as refused:
        load_config(path, environ)

    assert VALUE not in str(refused.value)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b'broker = "\xff\xfe"')
    with pytest.raises(Misconfigured, match=r"config\.toml is not TOML: it is not UTF-8"):
        load_config(tmp_path / "config.toml", {})


def test_an_app_key_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLSTITCH_TEST_KEY", "KEY")
    path = tmp_path / "config.toml"
    path.write_text(f'{SOURCE}tokens = ["x"]\napp_key = "env:CALLSTITCH_TEST_KEY"')
    assert shown(load_config(path, {}))["source"][0]["app_key"] == "KEY"


HOSTS = ["audio.example.com", ".example.com", "*.example.com", "audio.example.com:8443", "10.0.0.1", "[::1]:8443"]


def test_every_form_of_an_address_that_is_documented_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        f'{VOICECALL}tokens = ["x"]\nrecording_hosts = {HOSTS}\nrecording_api = "https://api.example.com:12543"\n'
        'push_url = "http://door.example.com/v1/a/t?x=1"\n[ingest]\nlisten = "[::1]:0"\nadmin = "0.0.0.0:65535"'
    )
    config = load_config(path, {})
    assert config.source[0].recording_hosts == tuple(HOSTS)
    assert config.ingest.listen == "[::1]:0"


@pytest.mark.parametrize("kept", ['{"huawei_privatenumber": ', "[1]", "\ufeff"])
def test_damaged_tokens_are_named_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "var").mkdir()
    (tmp_path / "var/tokens.json").write_text(kept)
    with pytest.raises(Misconfigured, match=r"var/tokens\.json is damaged"):
        load_config(None, {})
    assert (tmp_path / "var/tokens.json").read_text() == kept


def test_a_directory_that_takes_no_tokens_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "var").write_text("a file where the directory would be")
    with pytest.raises(Misconfigured, match=r"cannot store the tokens in var/tokens\.json"):
        load_config(None, {})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"no-such\.toml"):
        load_config(tmp_path / "no-such.toml", {})


@pytest.mark.parametrize("broker", [f"amqp://u:{VALUE}@host:port/", f"amqp:{VALUE}", f"amqp://u:{VALUE}@[::1"])
def test_a_broker_that_is_no_address_takes_no_password_and_is_not_shown(tmp_path: Path, broker: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'broker = "{broker}"')

    with pytest.raises(Misconfigured, match="broker") as refused:
        load_config(path, {"CALLSTITCH_BROKER_PASSWORD": VALUE})

    assert VALUE not in str(refused.value)
    if "@" in broker:
        assert shown(load_config(path, {}))["broker"] == "***"


def test_variables_win_over_scalars_and_the_password_comes_apart(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('broker = "embedded:b.db"\n[ingest]\nlisten = "127.0.0.1:1"\nadmin = "127.0.0.1:2"')
    environ = {
        "CALLSTITCH_BROKER": "amqps://user@broker.example/calls",
        "CALLSTITCH_BROKER_PASSWORD": VALUE,
        "CALLSTITCH_INGEST_LISTEN": "0.0.0.0:80",
    }

    config = load_config(path, environ)

    assert config.broker.text == f"amqps://user:{VALUE}@broker.example/calls"
    assert (config.ingest.listen, config.ingest.admin) == ("0.0.0.0:80", "127.0.0.1:2")
    assert shown(config)["broker"] == "amqps://user:***@broker.example/calls"


def test_a_schedule_is_told_by_the_delay_queues_however_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[retry.fetch_recording]\nschedule = ["30s", "60m", "0.5m", "6h"]\nunexpected = []')

    config = load_config(path, {})

    assert config.retry["fetch_recording"].schedule == ("30s", "1h", "30s", "6h")
    assert config.retry["fetch_recording"].unexpected == ()
    assert shown(config)["retry"]["fetch_recording"]["schedule"] == ["30s", "1h", "30s", "6h"]


def test_the_default_config_has_a_source_for_each_platform_and_keeps_its_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = (load_config(None, {}) for _ in range(2))
    assert [source.platform for source in first.source] == list(DIALECTS)
    assert len({source.tokens[0].get_secret_value() for source in first.source}) == len(DIALECTS)
    assert first == second
    assert (tmp_path / "var/tokens.json").stat().st_mode & 0o777 == 0o600


def test_tokens_that_an_older_program_made_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "var").mkdir()
    (tmp_path / "var/tokens.json").write_text('{"huawei_privatenumber": "kept"}')
    tokens = {source.platform: source.tokens[0].get_secret_value() for source in load_config(None, {}).source}
    assert tokens["huawei_privatenumber"] == "kept"
    assert set(tokens) == set(DIALECTS)


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("https://chat.example.com/hooks/T0/B0/secret", "https://chat.example.com/***"),
        ("https://chat.example.com/?key=secret", "https://chat.example.com/***"),
        ("https://user:secret@chat.example.com:8443/a", "https://chat.example.com:8443/***"),
        ("https://chat.example.com", "https://chat.example.com"),
    ],
)
def test_of_a_webhook_only_its_host_is_shown(tmp_path: Path, url: str, seen: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        f'[[sink]]\nname = "chat"\nkind = "webhook"\nurl = "{url}"\nsecret = "whsec_c2VjcmV0c2VjcmV0c2VjcmV0"'
    )
    (sink,) = shown(load_config(path, {}))["sink"]
    assert sink["url"] == seen


@pytest.mark.parametrize(
    ("objects", "seen"),
    [
        ("s3://KEY:SECRET@bucket/p", "s3://***:***@bucket/p"),
        ("s3://bucket/p?region=eu&secret_access_key=SECRET", "s3://bucket/p?region=eu&secret_access_key=***"),
        ("s3://bucket/p?Access_Key_Id=KEY", "s3://bucket/p?Access_Key_Id=***"),
        ("s3://bucket/p?region=eu", "s3://bucket/p?region=eu"),
        ("file:var/recordings", "file:var/recordings"),
    ],
)
def test_no_key_of_a_bucket_is_shown(tmp_path: Path, objects: str, seen: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'objects = "{objects}"')
    assert shown(load_config(path, {}))["objects"] == seen


@pytest.mark.parametrize(
    "retention",
    [
        'sessions = "6d"',
        'sessions = "30d"\ntombstones = "29d"',
        'tombstones = "6d"',
        'outbox = "1d"',
        'parked = "14d"',
        'claims = "7d"',
    ],
)
def test_a_retention_that_would_forget_too_early_is_refused(tmp_path: Path, retention: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"[retention]\n{retention}")
    with pytest.raises(Misconfigured, match="retention"):
        load_config(path, {})


def test_retention_is_as_the_config_says(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[retention]\noutbox = "3d"\nsessions = "8d"\ntombstones = "9d"\nparked = "15d"')
    kept = load_config(path, {}).retention
    assert (kept.outbox, kept.sessions, kept.tombstones, kept.parked) == tuple(timedelta(days=n) for n in (3, 8, 9, 15))
    assert load_config(None, {}).retention.parked is None
