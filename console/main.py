"""The callstitch command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import structlog
import typer

from console.config_file import load_config
from console.roles import BoundRole, ingest_role, up_role, work_role
from console.sabotage import VARIABLE as SABOTAGE_VARIABLE
from console.sabotage import chosen_sabotage
from runtime.crash import VARIABLE as CRASH_VARIABLE
from runtime.lifecycle import run_process
from runtime.logs import configure_logs
from schemas.errors import CallstitchError, Misconfigured, Unavailable
from workers.config import Config

log = structlog.get_logger()

EXIT_DIFFERENCE: Final = 1
EXIT_UNAVAILABLE: Final = 69  # EX_UNAVAILABLE of sysexits.h
EXIT_CONFIG: Final = 78  # EX_CONFIG

app = typer.Typer(
    help="One trustworthy record per call from what cloud-telephony platforms push.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="The config.", no_args_is_help=True)
quarantine_app = typer.Typer(help="Unreadable input, grouped by reason.", no_args_is_help=True)
dead_app = typer.Typer(help="Failed work, per stage.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(dead_app, name="dead")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", envvar="CALLSTITCH_CONFIG", help="TOML file; none: the default config.")
]
ProcessesOption = Annotated[int, typer.Option(min=1, help="So many processes, under one supervisor.")]
MemberOption = Annotated[Path | None, typer.Option(hidden=True)]  # what the supervisor tells its processes
NumbersOption = Annotated[bool, typer.Option("--show-numbers", help="Do not mask phone numbers.")]


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn our errors into one clear line and the documented exit code."""
    try:
        yield
    except CallstitchError as error:
        _fail(error)
    except BaseExceptionGroup as group:
        ours = _first_of_ours(group)
        if ours is None:
            raise
        _fail(ours)


def _first_of_ours(group: BaseExceptionGroup[BaseException]) -> CallstitchError | None:
    for error in group.exceptions:
        found = _first_of_ours(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, CallstitchError):
            return found
    return None


def _fail(error: CallstitchError) -> None:
    typer.echo(f"callstitch: {error}", err=True)
    codes: list[tuple[type[CallstitchError], int]] = [(Misconfigured, EXIT_CONFIG), (Unavailable, EXIT_UNAVAILABLE)]
    raise typer.Exit(next((code for kind, code in codes if isinstance(error, kind)), EXIT_DIFFERENCE)) from None


def _run(path: Path | None, make: Callable[[Config], BoundRole]) -> None:
    configure_logs(json=not sys.stderr.isatty())
    for variable in (CRASH_VARIABLE, SABOTAGE_VARIABLE):
        if os.environ.get(variable):
            log.warning("process.faults_on_purpose", variable=variable, value=os.environ[variable])
    with exit_codes():
        run_process(make(load_config(path)))


@app.command()
def up(
    config: ConfigOption = None,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Play 200 calls through it and check the ledger.")] = False,
    stay: Annotated[bool, typer.Option("--stay", help="With --demo: keep running afterwards.")] = False,
) -> None:
    """Run everything in one process; the default config needs nothing installed."""
    if demo:
        from console.demo.run import run_demo  # noqa: PLC0415 - only the demo needs it

        with exit_codes():
            raise typer.Exit(run_demo(config, stay=stay))
    _run(config, lambda loaded: up_role(loaded, sabotage=chosen_sabotage(), ready=_greeting(config, loaded)))


def _greeting(path: Path | None, config: Config) -> Callable[[], None] | None:
    """Without a config file the tokens were made by us, so the operator has to be told the URLs."""
    if path is not None:
        return None

    def greet() -> None:
        for source in config.source:
            token = source.tokens[0].get_secret_value()
            typer.echo(f"{source.platform}: POST http://{config.ingest.listen}/v1/{source.name}/{token}")
        typer.echo(f"health and metrics: http://{config.ingest.admin}/readyz /livez /metrics")
        typer.echo("events: var/calls.jsonl   recordings: var/recordings   stop: Ctrl-C")

    return greet


@app.command()
def ingest(config: ConfigOption = None, processes: ProcessesOption = 1, member: MemberOption = None) -> None:
    """Run the door alone."""
    from console.group.supervisor import role_in_group  # noqa: PLC0415 - it knows our exit codes

    make = partial(ingest_role, shared=processes > 1)
    _run(config, lambda loaded: role_in_group(loaded, None, make, processes=processes, member=member))


@app.command()
def work(
    stage: Annotated[str, typer.Argument(help="dedupe, correlate, fetch_recording, fan_out, decide or park")],
    config: ConfigOption = None,
    sink: Annotated[str | None, typer.Option(help="fan_out: only this sink.")] = None,
    processes: ProcessesOption = 1,
    member: MemberOption = None,
) -> None:
    """Run one stage."""
    from console.group.supervisor import role_in_group  # noqa: PLC0415 - it knows our exit codes
    from workers.wiring import stage_names  # noqa: PLC0415 - usage is checked before anything is loaded

    if stage not in stage_names():
        raise typer.BadParameter(f"one of {', '.join(stage_names())}", param_hint="STAGE")

    def role(loaded: Config) -> BoundRole:
        make = partial(work_role, stage=stage, sink=sink, sabotage=chosen_sabotage())
        return role_in_group(loaded, stage, make, sink=sink, processes=processes, member=member)

    _run(config, role)


def main() -> None:
    """Entry point of the `callstitch` script."""
    from console.commands import emulate, operate  # noqa: F401, PLC0415 - registers the other commands

    app()
