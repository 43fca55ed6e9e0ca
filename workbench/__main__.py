"""``python -m workbench``: the part of the ``beamhub`` command that needs no portal."""

import typer

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
    """What of 'beamhub' works inside a server: reference data."""


if __name__ == "__main__":
    app(prog_name="beamhub")
