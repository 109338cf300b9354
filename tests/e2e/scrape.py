"""What `/metrics` of a running process says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from runtime.telemetry.families import FAMILIES, PROCESS_FAMILIES
from runtime.telemetry.family import DOOR, EVERY_ROLE, EVERY_STAGE, SUPERVISOR, Family
from tests.e2e.programs import Role, request

_TYPED = {"counter": "_total", "histogram": "", "gauge": ""}


@dataclass(frozen=True)
class Scrape:
    """All series of one scrape, by name and labels."""

    series: dict[str, list[tuple[dict[str, str], float]]] = field(default_factory=dict)

    @property
    def families(self) -> set[str]:
        """Their names, as docs/metrics.md has them."""
        return set(self.series)

    def value(self, name: str, **labels: str) -> float:
        """The sum of all series of that name that have these labels; a failed test where there is none."""
        found = [value for has, value in self.series.get(name, []) if labels.items() <= has.items()]
        assert found, f"no {name} with {labels}"
        return sum(found)

    def labels(self) -> Iterator[tuple[str, str, str]]:
        """Each label of each series: of which metric, its name and value."""
        for name, all_of_it in self.series.items():
            for labels, _ in all_of_it:
                for label, value in labels.items():
                    yield name, label, value


def scraped(role: Role) -> Scrape:
    """One scrape of a role, now."""
    scrape = Scrape()
    for family in text_string_to_metric_families(request(role.admin, "GET", "/metrics").body.decode()):
        for sample in family.samples:
            name = family.name + _TYPED[family.type]
            if family.type == "histogram" and not sample.name.endswith("_count"):
                continue
            scrape.series.setdefault(name, []).append((sample.labels, sample.value))
    return scrape


def defined(*roles: str) -> set[str]:
    """The names of what these roles expose: `ingest`, a stage by name; or all but the supervisor's, for `up`."""
    return {family.name for family in (*FAMILIES, *PROCESS_FAMILIES) if _is_of(family, roles)}


def _is_of(family: Family, roles: tuple[str, ...]) -> bool:
    if family.role == EVERY_ROLE:
        return True
    if family.role == EVERY_STAGE:
        return bool(set(roles) - {DOOR, SUPERVISOR})
    return bool(set(family.role.split(", ")) & set(roles))
