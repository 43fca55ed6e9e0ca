"""``beamhub data``: reference data from a terminal, in the portal's machine and in every image."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ..words import size_text
from .access import fetch, readable, status
from .catalogue import find
from .errors import DataError
from .settings import settings
from .upkeep import mirror, prune, sets_of, verify, verify_mirror

PIPE_COLUMNS = 500
out = Console(soft_wrap=True, highlight=False, markup=False)
if not out.is_terminal:
    out = Console(soft_wrap=True, highlight=False, markup=False, width=PIPE_COLUMNS)
err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)

app = typer.Typer(
    help="Reference data: list, fetch, verify, mirror, prune.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Names = Annotated[list[str], typer.Argument(help="Data sets: a name, or 'use case/name'.")]


def plain_table(*columns: str) -> Table:
    """Return a table without lines; names stay whole, and a pipe gets one line a row."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=not out.is_terminal or column == columns[0])
    return table


@contextmanager
def problems_to_the_reader() -> Iterator[None]:
    """Turn what can't be done into output and an exit status of 1."""
    try:
        yield
    except DataError as problem:
        err.print(str(problem))
        raise typer.Exit(1) from None


@app.command("list")
def list_sets(
    use_case: Annotated[
        list[str] | None, typer.Option(help="Only of this use case; may be repeated.")
    ] = None,
) -> None:
    """List the data sets of all use cases, with size, licence and what would serve each."""
    with problems_to_the_reader():
        wanted = {known.label for known in sets_of(use_case or [])}
        table = plain_table("data set", "size", "licence", "where")
        for row in status():
            if row.known.label in wanted:
                data = row.known.data
                size = size_text(row.known.size_bytes)
                table.add_row(row.known.label, size, data.licence, row.offer.where)
        out.print(table)


@app.command("fetch")
def fetch_sets(
    names: Names,
    unverified: Annotated[
        list[str] | None,
        typer.Option(
            help="A data set to fetch although nobody has published its checksums; by its name."
        ),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(help="A folder to have the files in as well, without a second copy."),
    ] = None,
) -> None:
    """Fetch data sets, verify them, and print where they lie."""
    with problems_to_the_reader():
        for name in names:
            files = fetch(name, unverified=consented(name, unverified or []), into=into)
            count = "1 file" if len(files) == 1 else f"{len(files)} files"
            out.print(f"{files.label}: {count} in {into or files.folder}")


def consented(name: str, unverified: list[str]) -> str | None:
    """Return the name to consent with, where the data set is among those named."""
    own = {name, name.rpartition("/")[2], find(name).label}
    return name if own & {*unverified} else None


@app.command("verify")
def verify_sets(
    names: Annotated[
        list[str] | None, typer.Argument(help="Data sets; all that are here where left out.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--mirror", help="A folder that 'beamhub data mirror' has made."),
    ] = None,
) -> None:
    """Read every file that is here and compare its checksum.

    The exit status is 0 where all are right.
    """
    with problems_to_the_reader():
        found = [verify_mirror(folder)] if folder else [verify(n) for n in names or [""]]
        good = bad = 0
        for finding in (f for findings in found for f in findings):
            if finding.problem:
                bad += 1
                err.print(f"{finding.label}: {finding.path} {finding.problem}")
            else:
                good += 1
    out.print(f"{good} files are right, {bad} are not.")
    if bad:
        advice = (
            "run 'beamhub data mirror' again."
            if folder
            else ("remove it with 'beamhub data prune NAME', then fetch it again.")
        )
        err.print(f"To replace what is damaged, {advice}")
        raise typer.Exit(1)
    if not good:
        err.print("There was nothing to verify.")
        raise typer.Exit(1)


@app.command("status")
def show_status(
    name: Annotated[str | None, typer.Argument(help="Only this data set.")] = None,
) -> None:
    """Show what would serve each data set now, and what that would cost."""
    with problems_to_the_reader():
        places = settings()
        table = plain_table("data set", "where", "cost")
        for row in status(name):
            table.add_row(row.known.label, row.offer.where, row.offer.cost)
        out.print(table)
        for cache in readable(places):
            quota = f" of {size_text(places.quota_bytes)}" if places.quota_bytes else ""
            sizes, stored = cache.sizes(), cache.stored()
            size = size_text(sum(sizes.values()))
            out.print(f"\nCache {cache.root}: {len(stored)} data sets, {size}{quota}")
            for account, taken in sizes.items() if len(sizes) > 1 else ():
                out.print(f"  of account {account}: {size_text(taken)}")


@app.command("mirror")
def make_mirror(
    folder: Annotated[Path, typer.Argument(help="The folder to make or to complete.")],
    use_case: Annotated[
        list[str] | None, typer.Option(help="Only of this use case; may be repeated.")
    ] = None,
    unverified: Annotated[
        list[str] | None,
        typer.Option(help="A data set to take although nobody has published its checksums."),
    ] = None,
) -> None:
    """Make a folder with data sets for a site without internet.

    Any web server can serve it (a mirror of the site profile), or the file system itself (one of
    its data roots).
    """
    failed = False
    with problems_to_the_reader():
        for known, result in mirror(folder, sets_of(use_case or []), unverified or []):
            if isinstance(result, DataError):
                failed = True
                err.print(f"{known.label}: {result}")
            else:
                out.print(f"{known.label}: {len(result)} files")
    if failed:
        raise typer.Exit(1)


@app.command("prune")
def prune_sets(
    names: Annotated[list[str] | None, typer.Argument(help="Data sets to remove.")] = None,
    unused_days: Annotated[
        float | None, typer.Option(help="Remove what nobody has used for so many days.")
    ] = None,
    to_gb: Annotated[
        float | None,
        typer.Option(help="Remove what was used longest ago until so many GB are left."),
    ] = None,
) -> None:
    """Remove data sets from the cache, never one that somebody is reading."""
    if not names and unused_days is None and to_gb is None:
        err.print("Say what to remove: names, --unused-days or --to-gb.")
        raise typer.Exit(2)
    freed, kept, seen = 0, False, set()
    quota = None if to_gb is None else round(to_gb * 1e9)
    for stored, size, gone in prune(names, unused_days=unused_days, quota_bytes=quota):
        label = stored.label
        seen |= {label, label.partition("/")[2]}
        if gone:
            freed += size
            out.print(f"{label}: removed {size_text(size)}")
        else:
            kept = True
            err.print(f"{label}: kept, it is being read or belongs to another account")
    out.print(f"{size_text(freed)} are free again.")
    absent = [name for name in names or [] if name not in seen]
    for name in absent:
        err.print(f"{name}: the cache has no such data set")
    if kept or absent:
        raise typer.Exit(1)
