"""What teams put on docs/contract: tools of others read every schema and event there, and make types that hold.

The tools of Node are asked once, by contract_tools/asked.mjs.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_args

import orjson
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from datamodel_code_generator import InputFileType, generate
from datamodel_code_generator.enums import DataModelType
from datamodel_code_generator.format import Formatter
from pydantic import BaseModel, SecretStr, ValidationError
from standardwebhooks import Webhook as Verifier

from runtime.broker.base import Message
from runtime.clock import system_clock
from runtime.events.fed import fed_messages
from schemas.envelope import JsonObject
from schemas.topology import EVENT_TYPES
from schemas.vocabulary import Outcome
from tests.building.contract import CONTRACT, GOLDEN, SCHEMAS, Golden
from tests.building.loops import IDS
from tests.compat.recorded import recorded_events
from tests.services import node
from tests.services.customer import SECRET
from tests.services.endpoint import Post, an_endpoint
from workers.sinks.webhook import Webhook

TOOLS: Final = Path(__file__).with_name("contract_tools")
NEWER: Final = "asyncapi-latest-version"  # that there is a newer one than 3.0 is no fault
TOMORROW: Final = "added_tomorrow"
WRONG_KEY: Final = "whsec_bm90IHRoZSBrZXkgb2YgdGhpcnR5LXR3byBieXRlcw=="
OUTCOMES: Final = frozenset(get_args(Outcome))
each_event: Final = pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)
each_schema: Final = pytest.mark.parametrize("name", SCHEMAS)


def of_tomorrow(value: Any) -> Any:
    """The same with a field more in every object."""
    if isinstance(value, list):
        return [of_tomorrow(item) for item in value]
    if isinstance(value, dict):
        return {**{name: of_tomorrow(item) for name, item in value.items()}, TOMORROW: {"at": 1}}
    return value


@pytest.fixture(scope="module")
def posts() -> Mapping[str, Post]:
    """What our webhook posts of each event."""
    with an_endpoint() as endpoint:
        asyncio.run(_post(endpoint.url))
        return {post.id: post for post in endpoint.posts}


async def _post(url: str) -> None:
    webhook = Webhook(name="crm", kind="webhook", url=url, secret=SecretStr(SECRET), allow_private=True)
    async with webhook.open(system_clock()) as sink:
        assert set(await sink.write([golden.envelope for golden in GOLDEN])) == {None}


@pytest.fixture(scope="module")
def answers(npm: Path, tmp_path_factory: pytest.TempPathFactory, posts: Mapping[str, Post]) -> Any:
    """What the tools of Node say."""
    asked = {
        "asyncapi": [str(file) for file in CONTRACT.glob("asyncapi.*")],
        "schemas": SCHEMAS,
        "events": [
            {"schema": golden.type, "event": event}
            for golden in GOLDEN
            for event in (golden.event, of_tomorrow(golden.event), {**golden.event, "time": "yesterday"})
        ],
        "posts": [
            {"headers": post.headers, "body": post.body.decode(), "secret": secret}
            for secret in (SECRET, WRONG_KEY)
            for post in (posts[golden.event["id"]] for golden in GOLDEN)
        ],
        "binary": [
            in_http(message) for message, _ in fed_messages([golden.fed("crm", "binary") for golden in GOLDEN], IDS)
        ],
    }
    there = node.installed(TOOLS, tmp_path_factory.mktemp("npm") / "tools", npm)
    (there / "asked.json").write_bytes(orjson.dumps(asked))
    subprocess.run(["node", "asked.mjs", "asked.json", "answers.json"], cwd=there, check=True)
    return orjson.loads((there / "answers.json").read_bytes())


def in_http(message: Message) -> JsonObject:
    """A message in binary mode as it is in HTTP: that SDK has no binding of AMQP."""
    told = {name.replace("cloudEvents_", "ce-"): str(value) for name, value in message.headers.items()}
    said = {name: value for name, value in told.items() if name.startswith("ce-")}
    return {"headers": {**said, "content-type": message.content_type}, "body": message.body.decode()}


def test_there_is_a_schema_and_an_event_of_each_type() -> None:
    assert set(EVENT_TYPES) <= SCHEMAS.keys()
    assert set(EVENT_TYPES) <= {golden.type for golden in GOLDEN}


def test_the_parser_of_asyncapi_finds_no_fault(answers: Any) -> None:
    assert min(answers["operations"]) > 0
    assert [found for found in answers["diagnostics"] if found["code"] != NEWER] == []


def test_ajv_takes_every_schema_in_strict_mode_and_by_it_every_event_of_today_and_tomorrow(answers: Any) -> None:
    assert answers["compiled"] == dict.fromkeys(SCHEMAS, "function")
    today, tomorrow, wrong = (dict(zip(names(), answers["errors"][n::3], strict=True)) for n in range(3))
    assert today == tomorrow == {name: [] for name in names()}
    assert wrong == {name: ['/time must match format "date-time"'] for name in names()}


def names() -> list[str]:
    return [golden.name for golden in GOLDEN]


@each_schema
def test_typescript_has_one_name_a_thing_and_none_that_shadows(name: str, answers: Any) -> None:
    text = answers["typescript"][name]
    exported = re.findall(r"^export (?:type|interface) (\w+)", text, re.MULTILINE)
    assert exported
    assert [word for word in exported if word in answers["builtins"] or word[-1].isdigit()] == []
    unions = re.findall(r"^export type Outcome = \((.*)\)$", text, re.MULTILINE)
    assert [set(re.findall(r'"(\w+)"', union)) for union in unions] == [OUTCOMES] * ("Outcome" in text)


@each_schema
def test_go_has_one_type_for_a_number_and_one_for_an_outcome(name: str, answers: Any) -> None:
    text = answers["go"][name]
    numbers = re.findall(r'^\s*\w+\s+(\S+)\s+`json:"(?:\w+_seconds|seconds|billed_minutes)"`', text, re.MULTILINE)
    assert set(numbers) <= {"*float64"}
    assert "Double" not in text
    told = re.findall(r'^\s*\w+\s+Outcome = "(\w+)"', text, re.MULTILINE)
    assert (set(told), len(told)) == ((OUTCOMES, 9) if "type Outcome string" in text else (set(), 0))
    assert ("type Outcome string" in text) == ("Outcome" in SCHEMAS[name].get("$defs", {}))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, ModuleType]]:
    """Models of pydantic that datamodel-code-generator makes of each schema today."""
    folder = tmp_path_factory.mktemp("models")
    made = {}
    for name in SCHEMAS:
        file = folder / f"events_{name.replace('.', '_')}.py"
        generate(
            CONTRACT / "schemas" / f"{name}.json",
            input_file_type=InputFileType.JsonSchema,
            output_model_type=DataModelType.PydanticV2BaseModel,
            output=file,
            formatters=[Formatter.BUILTIN],
        )
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        made[name] = importlib.util.module_from_spec(spec)
        sys.modules[file.stem] = made[name]
        spec.loader.exec_module(made[name])
    yield made
    for module in made.values():
        del sys.modules[module.__name__]


def model_of(module: ModuleType) -> type[BaseModel]:
    """The model of an event: the one that no other is made of."""
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, BaseModel)]
    (model,) = (kind for kind in kinds if "specversion" in kind.model_fields)
    return model


@each_event
def test_a_model_that_was_generated_today_reads_the_event_of_today_and_of_tomorrow(
    golden: Golden, models: Mapping[str, ModuleType]
) -> None:
    model = model_of(models[golden.type])
    today = model.model_validate(golden.event)
    assert model.model_validate(of_tomorrow(golden.event)).model_dump(mode="json", exclude_unset=True) != {}
    assert today.model_dump(mode="json").keys() == golden.event.keys()
    with pytest.raises(ValidationError):
        model.model_validate({**golden.event, "data": None})
    outcome = vars(models[golden.type]).get("Outcome", ())
    assert {word.value for word in outcome} in (OUTCOMES, set())


def test_a_model_that_was_generated_today_reads_what_an_older_version_told(models: Mapping[str, ModuleType]) -> None:
    readers = {f"callstitch.{name}.v1": model_of(module) for name, module in models.items()}
    told = list(recorded_events())
    assert len(told) > 100
    for event in told:
        readers[event["type"]].model_validate(event)


@each_event
def test_both_sdks_of_cloudevents_read_a_post(golden: Golden, posts: Mapping[str, Post], answers: Any) -> None:
    post = posts[golden.event["id"]]
    event = from_http_event(HTTPMessage(headers=post.headers, body=post.body))
    assert attributes(event) == golden.attributes
    assert event.get_data() == golden.event["data"]
    read = answers["read"][GOLDEN.index(golden)]
    assert {**read, "time": golden.event["time"]} == golden.event  # cut to milliseconds by that SDK
    assert read["time"][:19] == golden.event["time"][:19]


@each_event
def test_the_sdk_of_npm_reads_an_event_in_binary_mode(golden: Golden, answers: Any) -> None:
    read = answers["read"][2 * len(GOLDEN) + GOLDEN.index(golden)]
    told = {name: str(value) for name, value in golden.attributes.items() if name != "time"}
    assert {name: read[name] for name in told} == told
    assert read["data"] == golden.event["data"]


def attributes(event: Any) -> JsonObject:
    """What it says beside its data, moments as JSON has them."""
    told = {**event.get_attributes()}
    return {**told, "time": told["time"].isoformat().replace("+00:00", "Z")}


@each_event
def test_both_packages_of_standard_webhooks_verify_a_post_and_no_other_key(
    golden: Golden, posts: Mapping[str, Post], answers: Any
) -> None:
    post, place = posts[golden.event["id"]], GOLDEN.index(golden)
    assert (post.is_signed_with(SECRET), post.is_signed_with(WRONG_KEY)) == (True, False)
    assert Verifier(SECRET).verify(post.body, post.headers) == golden.event
    assert (answers["verified"][place], answers["verified"][len(GOLDEN) + place]) == (True, False)
