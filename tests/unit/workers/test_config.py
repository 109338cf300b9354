"""The whole config: which key is whose, rules, `control` and `default`; faults name their key, and tell no value."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from console.config_file import load_config
from schemas.errors import Misconfigured
from schemas.platforms import DIALECTS
from workers.config import Config

VALUE = "+8613800000077"
SOURCE = '[[source]]\nname = "huawei-x"\nplatform = "huawei_privatenumber"\ntokens = ["t"]\n'
ASKING = f"{SOURCE}control = true\n"
RULE = '[[rule]]\nsource = "huawei-x"\n'
GOOD = f'{RULE}action = "connect"\ncallee = "{VALUE}"\n'

FAULTS = {
    "a rule for a source without control": (SOURCE + GOOD, "a rule needs a source with control = true: huawei-x"),
    "a rule for nobody": (ASKING + GOOD.replace("huawei-x", "nobody"), "control = true: nobody"),
    "a rule without a source": (ASKING + f'[[rule]]\naction = "connect"\ncallee = "{VALUE}"', "rule.0.source"),
    "a rule without an action": (ASKING + f'{RULE}callee = "{VALUE}"', "rule.0.action"),
    "an action that nobody knows": (ASKING + f'{RULE}action = "{VALUE}"', "rule.0.action"),
    "connect to nobody": (ASKING + f'{RULE}action = "connect"\nnumber = "{VALUE}"', "rule.0: connect needs a callee"),
    "connect to no number": (ASKING + f'{RULE}action = "connect"\ncallee = ""', "connect needs a callee"),
    "route to nobody": (ASKING + f'{RULE}action = "route"\ncaller = "{VALUE}"', "rule.0: route needs a callee"),
    "a callee as a number": (ASKING + f'{RULE}action = "connect"\ncallee = {VALUE[1:]}', "rule.0.callee"),
    "an endless callee": (ASKING + f'{RULE}action = "connect"\ncallee = "{VALUE * 9}"', "rule.0.callee"),
    "an unknown key in a rule": (ASKING + f'{GOOD}calle = "{VALUE}"', "rule.0.calle"),
    "more than a day": (ASKING + f"{GOOD}max_minutes = 1441", "rule.0.max_minutes"),
    "an unknown key in a default": (
        ASKING + f'[source.default]\naction = "close"\ncalle = "{VALUE}"', "source.0.default.calle",
    ),
    "a condition in a default": (
        ASKING + f'[source.default]\naction = "close"\nnumber = "{VALUE}"', "source.0.default.number",
    ),
    "a default without an action": (ASKING + f'[source.default]\ncallee = "{VALUE}"', "source.0.default.action"),
    "a default to nobody": (ASKING + '[source.default]\naction = "connect"', "a default of connect needs a callee"),
    "a default that is no table": (ASKING + f'default = "{VALUE}"', "source.0.default"),
    "a default of who asks nothing": (SOURCE + '[source.default]\naction = "close"', "a default needs control = true"),
    "control of who asks nothing": (
        ASKING.replace("privatenumber", "voicecall"), "source.0.control: huawei_voicecall has no such key",
    ),
    "control that is no truth": (SOURCE + f'control = "{VALUE}"', "source.0.control"),
    "a shape that nobody knows": (ASKING + f'answer_shape = "{VALUE}"', "source.0.answer_shape"),
    "a variant that nobody knows": (
        SOURCE.replace("huawei_privatenumber", "aliyun_pnp") + f'key_variant = "{VALUE}"',
        "source.0.key_variant: Input should be 'A', 'B' or 'C'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "key"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_and_no_value_is_told(tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(Misconfigured, match=re.escape(key)) as refused:
        load_config(path, {})
    assert VALUE[1:] not in str(refused.value)


@pytest.mark.parametrize("text", [ASKING, ASKING + GOOD, f'{ASKING}[source.default]\naction = "discard"\n{GOOD}'])
def test_what_is_right_is_taken(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    assert set(load_config(path, {}).asking) == {"huawei-x"}


def test_the_config_on_the_page_about_questions_is_a_valid_one() -> None:
    page = (Path(__file__).parents[3] / "docs/questions.md").read_text()
    text = page.split("```toml\n")[1].split("```")[0].replace('"env:', '"given-')
    (rule,) = Config.model_validate(tomllib.loads(text)).rule
    assert (rule.source, rule.action) == ("huawei-x", "connect")


KEYS = {name: set(dialect.settings.model_fields) for name, dialect in DIALECTS.items()}
FOREIGN = [(platform, key) for platform, own in KEYS.items() for key in sorted(set().union(*KEYS.values()) - own)]


@pytest.mark.parametrize(("platform", "key"), FOREIGN)
def test_a_key_of_another_platform_is_named_with_the_platform_and_what_it_has(
    tmp_path: Path, platform: str, key: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(SOURCE.replace("huawei_privatenumber", platform) + f'{key} = "{VALUE}"')
    with pytest.raises(Misconfigured, match=f"source.0.{key}: {platform} has no such key; it has name, ") as refused:
        load_config(path, {})
    said = str(refused.value).partition("it has ")[2]
    assert set(said.split(", ")) == KEYS[platform]
    assert VALUE[1:] not in str(refused.value)


def test_a_key_that_no_platform_has_is_refused_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'{SOURCE}appsecret = "{VALUE}"')
    with pytest.raises(
        Misconfigured, match=r"source\.0\.appsecret: huawei_privatenumber has no such key; it has .*app_secret"
    ):
        load_config(path, {})


def test_an_unknown_platform_or_kind_is_answered_with_those_that_there_are(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(SOURCE.replace("huawei_privatenumber", VALUE) + f'[[sink]]\nname = "crm"\nkind = "{VALUE}"')
    with pytest.raises(Misconfigured) as refused:
        load_config(path, {})
    platforms = ", ".join(f"'{name}'" for name in DIALECTS)
    assert f"source.0.platform: must be one of {platforms}; " in str(refused.value)
    assert "sink.0.kind: must be one of 'webhook', 'jsonl'" in str(refused.value)


PAGE = (Path(__file__).parents[3] / "docs/config.md").read_text()


def test_the_table_of_keys_is_that_of_the_platforms() -> None:
    table = PAGE.split("## Which key belongs to which platform")[1].split("Those that the example")[0]
    shared, (head, _, *rows) = set(re.findall(r"`(\w+)`", table.split("|")[0])), _rows(table)
    documented = {name.strip("`"): set(shared) for name in head[1:]}
    for keys, *cells in rows:
        for platform, cell in zip(documented, cells, strict=True):
            documented[platform] |= set(re.findall(r"`(\w+)`", keys)) if cell else set()
    assert documented == KEYS


def _rows(table: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")
    ]
