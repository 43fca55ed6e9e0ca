"""``beamhub names``: which person of a provider has which name."""

from typing import Annotated

import typer

from spawners.records import RecordError

from .common import StateOption, fail, kept_by, out

app = typer.Typer(
    no_args_is_help=True,
    help="Names that people have who log in by OpenID Connect.\n\n"
    "A name is given at the first log-in, to one person of one provider, and stays theirs.",
    rich_markup_mode=None,
)


@app.command("list")
def list_(state: StateOption = None) -> None:
    """List every name with its person, by the provider's own mark, and since when it is theirs."""
    try:
        found = kept_by("laptop", state).names.all()
    except RecordError as error:
        raise fail(str(error)) from None
    lines = [f"{name}: {who.subject} at {who.issuer}, since {since}" for name, who, since in found]
    for line in lines or ["Nobody has a name by OpenID Connect yet."]:
        out.print(line)


@app.command()
def release(
    name: Annotated[str, typer.Argument(help="The name to take from its person.")],
    state: StateOption = None,
) -> None:
    """Take a name from its person: whoever logs in with it next has it, and the files under it."""
    try:
        was_given = kept_by("laptop", state).names.release(name)
    except RecordError as error:
        raise fail(str(error)) from None
    if not was_given:
        raise fail(f"Nobody has the name '{name}'. See: beamhub names list")
    out.print(f"'{name}' is free: it and its files go to the next who logs in with it.")
