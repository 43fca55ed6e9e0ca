"""What the subcommands share: options, output, exits."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from workbench.documents import DocumentError

from ..deployment import Deployment, load_deployment
from ..extras import extras_of, lacking
from ..state import become_keeper

out = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)

SiteArgument = Annotated[
    str,
    typer.Argument(
        help="A shipped site profile (laptop, workstation, ...) or the path of your own YAML file.",
        metavar="SITE",
    ),
]
StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state",
        help="Folder for database, homes, environments and logs. "
        "[default: /var/lib/beamhub for root, ~/.local/share/beamhub otherwise]",
        envvar="BEAMHUB_STATE",
        show_default=False,
    ),
]
UseCasesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--use-cases",
        help="A folder with use cases of your own, beside the shipped ones; may be repeated.",
        exists=True,
        file_okay=False,
    ),
]


def put_out(document: str) -> None:
    """Write a document as it is: what is for people would change its tabs and escapes."""
    typer.echo(document, nl=False)


def fail(text: str) -> typer.Exit:
    """Say why a command can't go on, and return the exit to raise."""
    err.print(text)
    return typer.Exit(1)


@contextmanager
def findings_to_the_reader() -> Iterator[None]:
    """Turn findings about documents into output and an exit status of 1."""
    try:
        yield
    except DocumentError as error:
        raise fail(str(error)) from None


def deployment_of(
    site: str, state: Path | None = None, use_cases: list[Path] | None = None
) -> Deployment:
    """Return the deployment, or exit with the findings."""
    with findings_to_the_reader():
        return load_deployment(site, state=state, extra_use_cases=use_cases)


def kept_by(
    site: str, state: Path | None = None, use_cases: list[Path] | None = None
) -> Deployment:
    """Return the deployment, for a command that looks into its state as whoever keeps that."""
    deployment = deployment_of(site, state, use_cases)
    become_keeper(deployment.state)
    return deployment


def require_packages(deployment: Deployment) -> None:
    """Exit where packages are missing that a portal of this site needs."""
    if lacks := lacking(extras_of(deployment.site)):
        raise fail(lacks)
