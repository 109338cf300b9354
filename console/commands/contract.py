"""`callstitch contract`: what events look like, for whoever builds on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.contract.export import contract_files, export
from console.screen import out, wrapped

commands = typer.Typer()
contract_commands = typer.Typer(help="What events look like, as files.", no_args_is_help=True)
commands.add_typer(contract_commands, name="contract")


@contract_commands.command(name="export")
def export_it(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; it is made.")],
) -> None:
    """Write AsyncAPI 3, a JSON Schema of each event, and golden events of each type and edge.

    The files are those of this version: asyncapi.json, schemas/ and events/. Whatever else lies in DIR stays.
    """
    files = contract_files()
    try:
        export(directory, files)
    except OSError as error:
        raise typer.BadParameter(f"it cannot be written: {error.strerror}", param_hint="DIR") from None
    kinds = {folder: sum(path.startswith(f"{folder}/") for path in files) for folder in ("schemas", "events")}
    out.print(wrapped(f"{directory}: asyncapi.json, {kinds['schemas']} schemas, {kinds['events']} golden events"))
