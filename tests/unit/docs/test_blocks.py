"""Every code block of README and docs/ runs in a test, or says that it is a sketch.

A sketch is ```text (a drawing, a formula, a synopsis) or ```LANGUAGE sketch. Whatever else stands there is checked
here or run where `PROGRAMS` and `READMES` say; docs/notes/testing.md section 6 has the rules.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import pytest
from pydantic import BaseModel

from console.config_file import load_config
from schemas.question import Answer, Question
from tests.building.pages import PAGES, READMES, ROOT, Block, blocks, blocks_in
from tests.chaos.__main__ import _settings as chaos_settings

CHECKED: Final = ("json", "python", "sh", "sql", "toml", "xml")
CONSUMING: Final = "docs/consuming.md"  # shows files word by word, which a test runs
SHOWN: Final = {
    file.read_text(): file.name for file in (ROOT / "docs" / "consuming").iterdir() if file.suffix != ".json"
}
ALL: Final = [block for page in PAGES for block in blocks(page) if (page, block.text in SHOWN) != (CONSUMING, True)]
# Which test runs the Python or the SQL of a page, and what the JSON of a page is.
PROGRAMS: Final[Mapping[str, str]] = {
    "docs/contract.md": "tests/e2e/test_batches.py",
    "docs/events.md": "tests/unit/docs/test_events.py",
    "docs/questions.md": "tests/integration/test_questions_service.py",
}
MODELS: Final[Mapping[str, tuple[type[BaseModel], ...]]] = {"docs/questions.md": (Question, Answer)}
README_RUNS: Final = "tests/e2e/test_readme.py"
A_SOURCE: Final = '\n[[source]]\nname = "given"\nplatform = "huawei_privatenumber"\ntokens = ["given"]\n'


def in_language(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", [block for block in ALL if block.info == name], ids=str)


def is_sketch(block: Block) -> bool:
    language, _, rest = block.info.partition(" ")
    return block.info == "text" or (bool(language) and rest == "sketch")


def unmarked(found: list[Block]) -> list[str]:
    return [str(block) for block in found if not is_sketch(block) and block.info not in CHECKED]


def test_every_block_is_checked_or_marked_as_a_sketch() -> None:
    assert unmarked(ALL) == []
    assert len(ALL) > 30


@pytest.mark.parametrize("info", ["", "bash", "toml draft", "sketch"])
def test_a_block_that_is_neither_is_noticed(info: str) -> None:
    assert unmarked(blocks_in(f"# Page\n\n```{info}\nx = 1\n```\n")) == [f"page.md:3 {info}"]


def test_each_program_of_a_consumer_is_shown_word_by_word_beside_its_link_and_is_run_by_a_test() -> None:
    shown = [SHOWN[block.text] for block in blocks(CONSUMING) if block.text in SHOWN]
    assert sorted(shown) == sorted(SHOWN.values())
    assert len(shown) == len(set(shown)) > 5
    page, test = (ROOT / CONSUMING).read_text(), (ROOT / "tests/e2e/test_consuming.py").read_text()
    for name in shown:
        assert name == "cdrs.sql" or f"[{name}](consuming/{name})" in page
        assert name in test or f'"{Path(name).stem}"' in test


@in_language("json")
def test_json_is_what_the_page_says_it_is(block: Block) -> None:
    value = json.loads(block.text)
    if block.page not in READMES:  # there it is the output of the command above it
        of_its_language = [other for other in blocks(block.page) if other.info == "json"]
        MODELS[block.page][of_its_language.index(block)].model_validate(value)


@in_language("toml")
def test_toml_is_a_valid_config(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r'"env:(\w+)"', block.text):
        monkeypatch.setenv(name, "https://given/v1/s/t" if name.endswith("_URL") else "given-long-enough")
    file = tmp_path / "config.toml"
    file.write_text(block.text if "[[source]]" in block.text else block.text + A_SOURCE)
    load_config(file, {})


@in_language("xml")
def test_xml_is_well_formed(block: Block) -> None:
    ET.fromstring(block.text)  # noqa: S314 - our own page


@in_language("python")
def test_python_compiles_and_is_run_by_a_test(block: Block) -> None:
    compile(block.text, str(block), "exec")
    assert f'"{block.page}"' in (ROOT / PROGRAMS[block.page]).read_text()


@in_language("sql")
def test_sql_is_run_by_a_test(block: Block) -> None:
    assert f'"{block.page}"' in (ROOT / PROGRAMS[block.page]).read_text()


@in_language("sh")
def test_a_shell_block_runs(block: Block) -> None:
    """Commands of make are looked at without running them; README's are run, and no other page may have any."""
    for line in block.text.splitlines():
        if line.startswith("make "):
            dry_run(line)
        else:
            assert block.page in READMES


def dry_run(command: str) -> None:
    """Make knows the target, and the fault kit takes the arguments that it would be given."""
    asked = command.replace("make ", "make --dry-run ", 1)
    done = subprocess.run(["bash", "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    _, kit, arguments = done.stdout.splitlines()[-1].partition("-m tests.chaos ")
    if kit:
        try:
            chaos_settings(shlex.split(arguments))
        except SystemExit as end:
            assert end.code == 0  # noqa: PT017 - it asked for help


def test_the_readmes_have_the_same_blocks() -> None:
    ours, theirs = ([(block.info, block.text) for block in blocks(page)] for page in READMES)
    assert ours == theirs
