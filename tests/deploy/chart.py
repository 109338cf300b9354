"""The chart, rendered by the real `helm`, and what a test asks of the result."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "deploy/helm/callstitch"
RELEASE: Final = "cs"
NAMESPACE: Final = "callstitch"
VALUES: Final = ("values.yaml", "values-small.yaml", "values-large.yaml")
_SECONDS: Final = 120

Object = Mapping[str, Any]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What helm says; of this environment (PyPI has it for Linux on x86-64), else of the PATH."""
    own = Path(sys.executable).with_name("helm")
    program = str(own) if own.exists() else shutil.which("helm")
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("there is no helm here")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False)


def template(values: str = "values.yaml", *settings: str) -> subprocess.CompletedProcess[str]:
    """`helm template` with one of the values files; each setting is one of `--set`."""
    options = [word for setting in settings for word in ("--set", setting)]
    return helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, "-f", str(CHART / values), *options)


@cache
def rendered(values: str = "values.yaml", *settings: str) -> Sequence[Object]:
    """Every object of it; a test fails where the chart refuses."""
    done = template(values, *settings)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def refused(*settings: str, values: str = "values.yaml") -> str:
    """Why the chart refuses these settings."""
    done = template(values, *settings)
    assert done.returncode != 0, "nothing was refused"
    return done.stderr


def of_kind(objects: Sequence[Object], kind: str) -> Mapping[str, Any]:
    """The objects of that kind by name."""
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def component(one: Object) -> str:
    """The role that an object is for."""
    found: str = one["metadata"]["labels"]["app.kubernetes.io/component"]
    return found


def deployments(objects: Sequence[Object]) -> Mapping[str, Any]:
    """The Deployments by component."""
    return {component(one): one for one in of_kind(objects, "Deployment").values()}


def pods(objects: Sequence[Object]) -> Mapping[str, Any]:
    """The template of every pod that there will be, by component."""
    return {component(one): one["spec"]["template"] for one in objects if one["kind"] in ("Deployment", "Job")}


def config_text(objects: Sequence[Object]) -> str:
    """The config file that the roles read."""
    text: str = of_kind(objects, "ConfigMap")[f"{RELEASE}-callstitch"]["data"]["callstitch.toml"]
    return text
