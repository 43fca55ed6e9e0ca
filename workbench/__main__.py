"""``python -m workbench``: the part of the ``beamhub`` command that needs no portal."""

from pathlib import Path
from typing import Annotated

import typer

from .archiving import ArchiveError
from .archiving import archive as pack
from .data.command import app as data

app = typer.Typer(
    name="beamhub",
    help="What of 'beamhub' works inside a server.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data, name="data")


@app.callback()
def inside_a_server() -> None:
    """What of 'beamhub' works inside a server: reference data, archives of notebooks."""


@app.command()
def archive(
    notebook: Annotated[Path, typer.Argument(help="A notebook that was run and saved.")],
    folder: Annotated[
        Path | None, typer.Option(help="Where to put the archive.", show_default="archive")
    ] = None,
    author: Annotated[
        str | None, typer.Option(help="A name to put into it.", show_default="nobody's")
    ] = None,
) -> None:
    """Pack a notebook, as it was run and saved, into one file with which others can repeat it."""
    try:
        typer.echo(pack(notebook, folder, author=author))
    except ArchiveError as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app(prog_name="beamhub")
