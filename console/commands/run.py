"""The commands that run: `up`, `ingest` and `work`, which are what a container starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog
import typer

from console.admission.examination import see_admitted, warnings
from console.app import ConfigOption, exit_codes
from console.demo.run import run_demo
from console.door_url import door_url
from console.group.supervisor import role_in_group
from console.moments import DEFAULT_ZONE, ZoneOption
from console.reload.reloading import Reloading
from console.roles import BoundRole, ingest_role, up_role, work_role
from console.sabotage import VARIABLE as SABOTAGE_VARIABLE
from console.sabotage import chosen_sabotage
from console.screen import out
from runtime.crash import VARIABLE as CRASH_VARIABLE
from runtime.lifecycle import run_process
from runtime.logs import configure_logs
from schemas.errors import Misconfigured
from workers.config import Config
from workers.process import ROLES

log = structlog.get_logger()
commands = typer.Typer()

ProcessesOption = Annotated[int, typer.Option(min=1, help="Run this many processes under one supervisor.")]
MemberOption = Annotated[Path | None, typer.Option(hidden=True)]  # what the supervisor tells its processes


@commands.command()
def up(
    config: ConfigOption = None,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Play 200 calls through it and check the ledger.")] = False,
    stay: Annotated[bool, typer.Option("--stay", help="With --demo: keep running afterwards.")] = False,
    tz: ZoneOption = DEFAULT_ZONE,
) -> None:
    """Run everything in one process; the default config needs nothing installed."""
    if demo:
        with exit_codes():
            raise typer.Exit(run_demo(config, tz, stay=stay))
    _run(
        config,
        lambda loaded, reloading: up_role(
            loaded, sabotage=chosen_sabotage(), ready=_greeting(config, loaded), reloading=reloading
        ),
    )


@commands.command()
def ingest(config: ConfigOption = None, processes: ProcessesOption = 1, member: MemberOption = None) -> None:
    """Run the door, which takes what the platforms push and stores it on the broker."""

    def role(loaded: Config, reloading: Reloading) -> BoundRole:
        make = partial(ingest_role, shared=processes > 1, reloading=reloading)
        return role_in_group(loaded, None, make, processes=processes, member=member, reloading=reloading)

    _run(
        _needed(config),
        role,
        leaving=lambda loaded: loaded.ingest.drain_delay.total_seconds(),
    )


@commands.command()
def work(
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="One of " + " ".join(ROLES))],
    config: ConfigOption = None,
    *,
    sink: Annotated[str | None, typer.Option(help="Only this sink (with fan_out).")] = None,
    queue: Annotated[str | None, typer.Option(help="Only this downstream queue (with feed).")] = None,
    processes: ProcessesOption = 1,
    member: MemberOption = None,
) -> None:
    """Run one stage, or `dedupe,correlate`: both in one process, without the queue between them."""
    if stage not in ROLES:
        raise typer.BadParameter(f"one of {' '.join(ROLES)}", param_hint="STAGE")
    for name, given in (("sink", sink), ("queue", queue)):
        if given is not None and all(row.parts != name for row in ROLES[stage]):
            raise typer.BadParameter(f"{stage} has no {name}s", param_hint=f"--{name}")

    def role(loaded: Config, reloading: Reloading) -> BoundRole:
        make = partial(work_role, stage=stage, part=sink or queue, sabotage=chosen_sabotage(), reloading=reloading)
        return role_in_group(loaded, stage, make, sink=sink, processes=processes, member=member, reloading=reloading)

    _run(_needed(config), role)


def _needed(path: Path | None) -> Path:
    """A role of a container has no default config: what it made up would run on files of its own."""
    if path is None:
        with exit_codes():
            raise Misconfigured("no config: name one with --config or CALLSTITCH_CONFIG (only `up` has a default)")
    return path


def _run(
    path: Path | None,
    make: Callable[[Config, Reloading], BoundRole],
    *,
    leaving: Callable[[Config], float] = lambda _: 0.0,
) -> None:
    configure_logs(json=not sys.stderr.isatty())
    for variable in (CRASH_VARIABLE, SABOTAGE_VARIABLE):
        if os.environ.get(variable):
            log.warning("process.faults_on_purpose", variable=variable, value=os.environ[variable])
    with exit_codes():
        reloading = Reloading(path)
        config = reloading.load()
        see_admitted(config)
        for warning in warnings(config):
            log.warning("config.look", reason=warning)
        run_process(make(config, reloading), leaving_seconds=leaving(config), on_hangup=reloading.ask)


def _greeting(path: Path | None, config: Config) -> Callable[[], None] | None:
    """Without a config file the tokens were made by us, so the operator has to be told the URLs."""
    if path is not None:
        return None

    def greet() -> None:
        for source in config.source:
            out.print(f"{source.platform}, POST to")
            out.print(f"  {door_url(config, source)}")
        out.print(f"health and metrics: http://{config.ingest.admin}/readyz /livez /metrics")
        out.print("events: var/calls.jsonl  recordings: var/recordings  stop: Ctrl-C")
        out.print("a call to try it with, from another terminal: callstitch sample axyb --post up")

    return greet
