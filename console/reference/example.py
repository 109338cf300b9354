"""`make examples`: callstitch.example.toml and deploy/env.example, every key of every model in them.

What has a default stands as a comment with it, so that the file is as good with all of them as with none. What has
none needs a line in the tables below: a key without one stops the making, and a test compares what was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel

from console.config_file import SCALARS
from runtime.verdict import StageRetry
from schemas.platforms import DIALECTS
from schemas.settings import Ingest
from schemas.topology import STAGES
from workers.config import Config, DownstreamQueue
from workers.decide import Rule
from workers.retention import Retention
from workers.sinks import AnySink

CONFIG: Final = Path("callstitch.example.toml")
ENVIRONMENT: Final = Path("deploy/env.example")

_HEAD: Final = """\
# Every key of Callstitch's config: docs/config.md says what each does. Made from its models by `make examples`.
# A key behind a # is optional; what it shows is its default, or an example where it has none (those say so).
# Secrets are env:NAME (deploy/env.example has them all) or file:PATH, which is read again while running.
"""
# By table: what is written, as it has no default, or so that the file is a system that runs.
_WRITTEN: Final[Mapping[str, Mapping[str, Any]]] = {
    "": {
        "broker": "amqp://callstitch@rabbitmq/callstitch",
        "store": "postgresql://callstitch@postgresql/callstitch",
        "objects": "file:/var/lib/callstitch/recordings",
    },
    "ingest": {"listen": "0.0.0.0:8080", "admin": "0.0.0.0:8081"},
    "huawei_privatenumber": {
        "name": "huawei-pn", "tokens": ["env:HUAWEI_PN_TOKEN"], "app_key": "env:HUAWEI_PN_KEY",
        "app_secret": "env:HUAWEI_PN_SECRET", "verify": "always", "control": True,
    },
    "huawei_voicecall": {
        "name": "huawei-vc", "tokens": ["env:HUAWEI_VC_TOKEN"], "app_key": "env:HUAWEI_VC_KEY",
        "app_secret": "env:HUAWEI_VC_SECRET", "push_url": "env:HUAWEI_VC_URL", "verify": "always",
    },
    "aliyun_pnp": {
        "name": "aliyun", "tokens": ["env:ALIYUN_TOKEN"], "app_key": "env:ALIYUN_KEY",
        "app_secret": "env:ALIYUN_SECRET", "control": True,
    },
    "jiuyun_axb": {"name": "jiuyun", "tokens": ["env:JIUYUN_TOKEN"]},
    "webhook": {"name": "crm", "kind": "webhook", "url": "https://crm.example.com/calls", "secret": "env:CRM_SECRET"},
    "jsonl": {"name": "file", "kind": "jsonl", "path": "/var/lib/callstitch/calls.jsonl"},
    "queue": {"name": "billing"},
    "rule": {"source": "huawei-pn", "action": "connect", "callee": "+8613800000022"},
}  # fmt: skip
# By key: what an optional key without a default may look like.
_EXAMPLES: Final[Mapping[str, Any]] = {
    "mode": "AXB",
    "recording_api": "https://rtcpns.cn-north-1.myhuaweicloud.com",
    "control_secret": "env:ALIYUN_CONTROL_SECRET",
    "default": {"action": "close"},
    "parked": timedelta(days=90),
    "number": "+8617010000002",
    "caller": "+8613800000021",
    "extension": "1234",
    "record": True,
    "tones": {"calleeNumTone": "welcome.wav"},
    "max_minutes": 60,
    "user_data": "of your own",
    "app_key": "env:APP_KEY",
    "app_secret": "env:APP_SECRET",
    "push_url": "env:PUSH_URL",
    "secret": "env:CRM_SECRET",
    "batch": True,
    "max_length": 100_000,
    "max_age": timedelta(days=7),
    "fields": {"numbers": "mask"},
    "token_key": "env:TOKEN_KEY",
}
_VALUES: Final[Mapping[str, str]] = {
    "HUAWEI_VC_URL": "https://calls.example.com/v1/huawei-vc/change-me-22-random-characters",
    "CRM_SECRET": "whsec_Y2hhbmdlIG1lOiAzMiByYW5kb20gYnl0ZXM=",
    "CALLSTITCH_STORE": "postgresql://callstitch:change-me@postgresql/callstitch",
}
_SECRET: Final = "change-me-22-random-characters"  # noqa: S105 - whoever leaves it so is told by `check`
_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def config_text() -> str:
    """The config, every key in it."""
    tables = [
        _table("", "", Config, leave=("ingest", "source", "sink", "queue", "rule", "retention", "retry")),
        _table("[ingest]", "ingest", Ingest),
        *(_table("[[source]]", name, one.settings, platform=name) for name, one in DIALECTS.items()),
        *(_table("[[sink]]", _kind(sink), sink) for sink in get_args(AnySink)),
        _table("[[queue]]", "queue", DownstreamQueue),
        _table("[[rule]]", "rule", Rule),
        _table("[retention]", "retention", Retention),
        *(_retry(row.name, row.delays) for row in STAGES.values() if row.delays),
    ]
    return _HEAD + "\n" + "\n\n".join("\n".join(table) for table in tables) + "\n"


def environment_text() -> str:
    """The variables that it reads, and those that stand over it."""
    named = sorted(set(_named(_WRITTEN)) - SCALARS.keys())
    over = [name for name in SCALARS if name != "CALLSTITCH_STORE"]
    return "\n".join([
        "# What the example config and the roles read from the environment. Made by `make examples`.",
        "CALLSTITCH_CONFIG=/etc/callstitch/callstitch.toml",
        "# These hold a password, so they stand here and not in the file.",
        "CALLSTITCH_BROKER_PASSWORD=change-me",
        f"CALLSTITCH_STORE={_VALUES['CALLSTITCH_STORE']}",
        "# Tokens and secrets of the sources and sinks.",
        *(f"{name}={_VALUES.get(name, _SECRET)}" for name in named),
        "# Over keys of the file, where set.",
        *(f"# {name}=" for name in over),
        "# Keys of a bucket (objects = \"s3://...\"); without them the machine's own role is asked.",
        "# AWS_ACCESS_KEY_ID=",
        "# AWS_SECRET_ACCESS_KEY=",
        "# Time zone of the operator's commands.",
        "# CALLSTITCH_TZ=Asia/Shanghai",
        "",
    ])  # fmt: skip


def _table(
    header: str, kind: str, model: type[BaseModel], *, platform: str | None = None, leave: Sequence[str] = ()
) -> Iterator[str]:
    if header:
        yield header
    written = {**_WRITTEN.get(kind, {}), **({"platform": platform} if platform else {})}
    for name, field in model.model_fields.items():
        if name in leave:
            continue
        if name in written:
            yield f"{name} = {_toml(written[name])}"
        elif field.default is None:
            yield f"# {name} = {_toml(_EXAMPLES[name])}  # for example; no default"
        else:
            assert not field.is_required(), f"{kind}.{name} needs a line in _WRITTEN"
            yield f"# {name} = {_toml(field.default)}"


def _kind(sink: type[BaseModel]) -> str:
    (kind,) = get_args(sink.model_fields["kind"].annotation)
    return str(kind)


def _retry(stage: str, delays: Sequence[str]) -> Iterator[str]:
    yield f"[retry.{stage}]"
    for name in StageRetry.model_fields:
        yield f"# {name} = {_toml(delays)}"


def _toml(value: Any) -> str:
    if isinstance(value, timedelta):
        seconds = round(value.total_seconds())
        unit, length = next((unit, length) for unit, length in _UNITS if seconds % length == 0)
        return f'"{seconds // length}{unit}"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_toml(one)}" for name, one in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("env:"):
        yield value.removeprefix("env:")
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _named(one)
    elif isinstance(value, list):
        for one in value:
            yield from _named(one)


if __name__ == "__main__":
    CONFIG.write_text(config_text())
    ENVIRONMENT.write_text(environment_text())
