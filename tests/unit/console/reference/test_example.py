"""The example files are what the models make, and a config that loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from console.admission.examination import see_admitted
from console.config_file import load_config
from console.reference.example import CONFIG, ENVIRONMENT, config_text, environment_text
from tests.building.tree import ROOT
from workers.config import Config

OPTIONAL = re.compile(r"^# (\w+ = .*?)(  # for example; no default)?$", re.MULTILINE)


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of env.example, set; the names that it only mentions get a secret."""
    lines = [line for line in environment_text().splitlines() if line and not line.startswith("#")]
    found = dict(line.split("=", 1) for line in lines)
    for name in re.findall(r"env:(\w+)", config_text()):
        found.setdefault(name, "https://example.com/x")
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def loaded(directory: Path, text: str, environ: dict[str, str]) -> Config:
    path = directory / "config.toml"
    path.write_text(text)
    config = load_config(path, environ)
    see_admitted(config)
    return config


def test_the_files_in_the_repository_are_what_the_models_make() -> None:
    assert (ROOT / CONFIG).read_text() == config_text(), "make examples"
    assert (ROOT / ENVIRONMENT).read_text() == environment_text(), "make examples"


def test_the_example_loads_with_its_environment(tmp_path: Path, environ: dict[str, str]) -> None:
    config = loaded(tmp_path, config_text(), environ)
    assert {source.platform for source in config.source} == {
        "huawei_privatenumber", "huawei_voicecall", "aliyun_pnp", "jiuyun_axb",
    }  # fmt: skip
    assert all(sink.name for sink in config.sink)


def test_every_optional_key_may_be_written_and_a_default_is_one(tmp_path: Path, environ: dict[str, str]) -> None:
    bare = loaded(tmp_path, config_text(), environ)
    defaults = OPTIONAL.sub(lambda found: found[0] if found[2] else found[1], config_text())
    written = loaded(tmp_path, defaults, environ)
    assert written.model_dump(exclude={"retry"}) == bare.model_dump(exclude={"retry"})
    everything = OPTIONAL.sub(lambda found: found[1], config_text())
    assert loaded(tmp_path, everything, environ) != bare
