"""deploy/Dockerfile and deploy/compose.yaml against what the code says of itself; tests/containers runs them."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from console.config_file import load_config
from runtime import drain
from schemas.topology import STAGES
from tests.building.tree import PACKAGES, ROOT
from workers.fetch_recording import AT_ONCE
from workers.outside.download import RECORDING_BYTES

DEPLOY: Final = ROOT / "deploy"
FILE: Final = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: Final[dict[str, Any]] = FILE["services"]
ROLES: Final = ("ingest", *STAGES)
OURS: Final = (*ROLES, "declare", "demo")
_VARIABLE: Final = re.compile(r"\$\{(\w+):-([^}]*)\}")


def defaults(text: str) -> str:
    """The text as it is where no variable is set."""
    return _VARIABLE.sub(lambda match: match[2], text)


def mebibytes(text: str) -> int:
    return int(text.removesuffix("m"))


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_hadolint_has_nothing_to_say() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_package_is_copied_into_the_image_and_nothing_else_is_sent() -> None:
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
    sources = {word for line in copied for word in line.split()}
    sent = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert set(PACKAGES) <= sources == sent


def test_the_bytes_of_the_base_are_an_argument() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    (base,) = re.findall(
        r"^FROM (docker\.io/library/python:3\.\d+\.\d+-slim-trixie)\$\{PYTHON_DIGEST\}", text, re.MULTILINE
    )
    assert re.search(r"python:3\.1[34]\.", base), "an official image, so built with PGO and LTO, of a measured Python"
    assert f'base.name="{base}"' in text
    assert f"inspect {base.removeprefix('docker.io/library/')} " in text


def test_there_is_a_service_for_each_role() -> None:
    assert {name: SERVICES[name]["command"] for name in ROLES} == {
        "ingest": ["ingest"],
        **{stage: ["work", stage] for stage in STAGES},
    }


@pytest.mark.parametrize("name", OURS)
def test_each_of_ours_is_confined_and_limited(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges"]
    assert [place.partition(":")[0] for place in service["tmpfs"]] == ["/tmp"]  # noqa: S108 - inside
    assert {"mem_limit", "cpus", "pids_limit", "ulimits"} <= service.keys()
    assert "privileged" not in service
    assert "user" not in service  # the image's own


@pytest.mark.parametrize("name", ROLES)
def test_each_role_has_longer_to_end_than_its_drain_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    leaving = config(monkeypatch).ingest.drain_delay if name == "ingest" else timedelta()
    assert seconds(SERVICES[name]["stop_grace_period"]) > drain.PROCESS + drain.CUT_OFF + leaving.total_seconds()


def test_the_others_wait_for_declare_and_that_for_what_it_needs() -> None:
    for name in ROLES:
        assert SERVICES[name]["depends_on"]["declare"] == {"condition": "service_completed_successfully"}
    for name in ("rabbitmq", "postgres"):
        assert SERVICES["declare"]["depends_on"][name] == {"condition": "service_healthy"}
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert set(SERVICES["demo"]["depends_on"]) == set(ROLES)


def test_recordings_that_are_fetched_at_once_have_room_beside_the_role() -> None:
    (scratch,) = SERVICES["fetch_recording"]["tmpfs"]
    (room,) = map(mebibytes, re.findall(r"size=(\d+m)", scratch))
    assert room * 2**20 > AT_ONCE * RECORDING_BYTES
    assert mebibytes(SERVICES["fetch_recording"]["mem_limit"]) >= room + mebibytes(SERVICES["dedupe"]["mem_limit"])


def test_what_compose_reads_its_secrets_from_is_never_committed() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_ports_are_on_loopback_unless_a_variable_says_otherwise() -> None:
    published = [defaults(port) for service in SERVICES.values() for port in service.get("ports", ())]
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_only_the_profiles_start_more_than_the_product() -> None:
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        "demo": ["demo"],
        "prometheus": ["watch"],
        "grafana": ["watch"],
    }


def test_every_file_that_is_mounted_is_there() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    files = {mount.partition(":")[0] for mount in mounts if mount.startswith("./")}
    assert [file for file in sorted(files) if not (DEPLOY / file).exists()] == []
    assert {mount.partition(":")[0] for mount in mounts} - files == set(FILE["volumes"])


def test_its_config_is_right_and_its_admin_port_can_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = config(monkeypatch)
    assert loaded.ingest.admin == "0.0.0.0:8081"
    assert loaded.store.shared
    assert not loaded.broker.embedded
    assert loaded.objects.directory is None


def config(monkeypatch: pytest.MonkeyPatch) -> Any:
    """As a role reads it where no variable is set."""
    for name, value in SERVICES["dedupe"]["environment"].items():
        monkeypatch.setenv(name, defaults(value))
    return load_config(DEPLOY / "callstitch.compose.toml")
