"""Rules, `control` and `default` in the config: faults are named by their keys, and no value is told."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from console.config_file import load_config
from schemas.config import Config
from schemas.errors import Misconfigured

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
        ASKING.replace("huawei_privatenumber", "huawei_voicecall"), "huawei_voicecall asks nothing",
    ),
    "control that is no truth": (SOURCE + f'control = "{VALUE}"', "source.0.control"),
    "a shape that nobody knows": (ASKING + f'answer_shape = "{VALUE}"', "source.0.answer_shape"),
    "a variant that nobody knows": (ASKING + f'key_variant = "{VALUE}"', "source.0.key_variant"),
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
    assert load_config(path, {}).source[0].control


def test_the_config_on_the_page_about_questions_is_a_valid_one() -> None:
    page = (Path(__file__).parents[3] / "docs/questions.md").read_text()
    text = page.split("```toml\n")[1].split("```")[0].replace('"env:', '"given-')
    (rule,) = Config.model_validate(tomllib.loads(text)).rule
    assert (rule.source, rule.action) == ("huawei-x", "connect")
