"""`make sbom` lists what the image holds, pin by pin, as CycloneDX."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.building.tree import ROOT


def test_the_sbom_has_every_pin_of_the_image(tmp_path: Path) -> None:
    file = tmp_path / "callstitch.cdx.json"
    subprocess.run(["make", "sbom", f"SBOM={file}"], cwd=ROOT, check=True, capture_output=True)
    told = json.loads(file.read_text())
    (named,) = re.findall(r"-r (requirements/(?!build)\S+)$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
    lock = (ROOT / named).read_text()
    pins = set(re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE))
    assert (told["bomFormat"], told["metadata"]["component"]["name"]) == ("CycloneDX", "callstitch")
    assert {(one["name"], one["version"]) for one in told["components"]} == pins
    assert len(pins) > 20
    assert all(one["purl"].startswith("pkg:pypi/") for one in told["components"])
