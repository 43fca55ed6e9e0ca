"""``beamhub render``: what a cluster is given to run a portal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from .common import SiteArgument, StateOption, fail, kept_by, put_out

if TYPE_CHECKING:
    from ..render import Placeholders

app = typer.Typer(
    no_args_is_help=True,
    help="Write what a cluster is given to run the portal inside of it. The same profile gives "
    "the same text. Secrets are never in it, only from which Secret of the namespace each is "
    "read; images are by digest where the profile or the state folder knows it.",
    rich_markup_mode=None,
)
IngressClassOption = Annotated[
    str | None,
    typer.Option(
        help="Which of the cluster's ingresses leads to the portal. [default: the cluster's own]",
        metavar="NAME",
        show_default=False,
    ),
]


@app.command()
def kubernetes(
    site: SiteArgument,
    state: StateOption = None,
    ingress_class: IngressClassOption = None,
) -> None:
    """Print plain manifests for 'kubectl apply', without Helm."""
    with told():
        from ..render import as_yaml, manifests

        put_out(as_yaml(*manifests(kept_by(site, state), ingress_class)))


@app.command()
def helm(
    site: SiteArgument,
    state: StateOption = None,
    ingress_class: IngressClassOption = None,
    placeholders: Annotated[
        str | None,
        typer.Option(
            help="So many pods keep room for servers of that size, and make way for them: before "
            "a workshop.",
            metavar="SIZE=NUMBER",
        ),
    ] = None,
) -> None:
    """Print values for Helm and the Zero-to-JupyterHub chart; their head says its version."""
    with told():
        from ..render import as_yaml, values
        from ..render.chart import heading

        deployment = kept_by(site, state)
        made = values(deployment, ingress_class, given_placeholders(placeholders))
        put_out(heading(deployment) + as_yaml(made))


@contextmanager
def told() -> Iterator[None]:
    """Turn what can't be rendered into output and an exit status of 1."""
    from ..extras import lacking

    if lacks := lacking(["kubernetes"]):
        raise fail(lacks)
    from ..render import RenderError

    try:
        yield
    except RenderError as error:
        raise fail(str(error)) from None


def given_placeholders(text: str | None) -> "Placeholders | None":
    """Return what was asked for as SIZE=NUMBER."""
    from ..render import Placeholders

    if text is None:
        return None
    size, _, number = text.partition("=")
    if not number.isdecimal():
        raise fail(f"--placeholders {text}: write SIZE=NUMBER, for example small=20.")
    return Placeholders(size, int(number))
