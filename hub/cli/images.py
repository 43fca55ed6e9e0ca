"""``beamhub images``: container images, made, proved, moved."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from workbench.words import size_text

from ..images.commands import self_test_arguments
from ..images.plan import Image, ImageError, plan_images, select, with_arguments, with_needs
from ..images.record import LISTS, Made, note, read_record
from ..state import StateError, prepare_state
from .common import StateOption, UseCasesOption, deployment_of, err, fail, out

app = typer.Typer(
    no_args_is_help=True,
    help="Container images: one a use case, all built on the same base.\n\n"
    "References follow from the site's registry, the use case and its version. What was made, "
    "pushed or pulled is kept in the state folder with its digest, so that 'the same image' is "
    "a fact.",
    rich_markup_mode=None,
)
NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Use cases, or 'base'; all that users can open where left out."),
]
SiteOption = Annotated[
    str, typer.Option("--site", help="The site profile whose registry counts.", metavar="SITE")
]


class Network(StrEnum):
    """How a build's commands reach the network."""

    DEFAULT = "default"
    HOST = "host"


@dataclass(frozen=True)
class Shelf:
    """The images of a site, and where they are noted."""

    images: dict[str, Image]
    state: Path

    @property
    def record(self) -> dict[str, Made]:
        """What is known of those that were made."""
        return read_record(self.state)


@contextmanager
def told() -> Iterator[None]:
    """Turn what can't be done into output and an exit status of 1."""
    try:
        yield
    except (ImageError, StateError) as error:
        raise fail(str(error)) from None


def shelf(site: str, state: Path | None, use_cases: list[Path] | None) -> Shelf:
    """Return the images of a site."""
    from ..images.context import origin, recipes

    deployment = deployment_of(site, state, use_cases)
    images = plan_images(
        deployment.use_cases,
        registry=deployment.site.registry,
        origin=origin(),
        recipes=recipes(),
    )
    return Shelf(images, deployment.state)


def ready(
    site: str,
    state: Path | None,
    use_cases: list[Path] | None,
    names: list[str] | None,
    *,
    to_build: bool = False,
) -> tuple[Shelf, list[Image]]:
    """Return the images of a site and those wanted, once Docker and the state can be used."""
    from ..images import docker

    here = shelf(site, state, use_cases)
    wanted = select(here.images, names or [])
    docker.require_docker(to_build=to_build)
    prepare_state(here.state)
    return here, wanted


@app.command("list")
def list_(
    site: SiteOption = "laptop",
    state: StateOption = None,
    use_cases: UseCasesOption = None,
    layers: Annotated[bool, typer.Option(help="Say what each layer of those here costs.")] = False,
) -> None:
    """List all images: reference, recipe, size unpacked, and what is missing."""
    from ..images import docker

    with told():
        here = shelf(site, state, use_cases)
        if layers:
            docker.require_docker()
        for image in here.images.values():
            if not image.published:
                continue
            recipe = image.use_case.manifest.image_recipe if image.use_case else image.recipe
            out.print(f"{image.name}  {image.reference}  images/{recipe}")
            out.print(f"  {condition(image, here.record.get(image.reference))}")
            if layers and docker.made(image.reference):
                print_layers(image)


def condition(image: Image, made: Made | None) -> str:
    """Return in words whether an image is there."""
    if image.missing:
        return image.missing
    if made is None:
        return f"not made yet: beamhub images build {image.name}"
    return f"{size_text(made.size_bytes)}  {made.digest or f'{made.id}, in no registry yet'}"


def print_layers(image: Image) -> None:
    """Print what each layer of an image costs, the lowest first."""
    from ..images import docker

    for layer in docker.layers(image.reference):
        made_by = " ".join(layer.made_by.split()) or "the system it begins from"
        out.print(f"  {layer.size_bytes / 1e6:8.1f} MB  {made_by[:100]}")


@app.command()
def build(
    names: NamesArgument = None,
    site: SiteOption = "laptop",
    state: StateOption = None,
    use_cases: UseCasesOption = None,
    jobs: Annotated[int, typer.Option(help="Images to build at the same time.", min=1)] = 2,
    ca: Annotated[
        Path | None,
        typer.Option(
            help="Certificates that downloads are checked against; they don't stay in the image.",
            envvar="SSL_CERT_FILE",
        ),
    ] = None,
    build_arg: Annotated[
        list[str] | None,
        typer.Option(help="What recipes can be told, such as TORCH=cu130.", metavar="NAME=VALUE"),
    ] = None,
    network: Annotated[
        Network, typer.Option(help="'host' where containers of this machine have no way out.")
    ] = Network.DEFAULT,
) -> None:
    """Build images, with those that they are built on.

    An image that hasn't changed is done in a second. Each has a list of its software inside and,
    in the folder 'images' of the state, beside; it holds nothing that may not be passed on.
    """
    from ..images.building import Settings, build_all
    from ..images.context import build_secrets, passed_variables, recipes

    with told():
        given = given_arguments(build_arg or [])
        here, wanted = ready(site, state, use_cases, names, to_build=True)
        images = with_arguments(with_needs(here.images, wanted), given, recipes())
        with build_secrets(ca) as secrets:
            settings = Settings(
                state=here.state,
                secrets=secrets,
                passed=tuple(passed_variables(os.environ)),
                network=str(network),
            )
            build_all(
                images,
                settings,
                jobs=jobs,
                say=lambda name, text: err.print(f"{name:<10}  {text}"),
            )
        for image in wanted:
            out.print(f"{image.name}: {condition(image, here.record.get(image.reference))}")
            print_layers(image)
        out.print(f"Lists of software: {here.state / LISTS}")


def given_arguments(words: list[str]) -> dict[str, str]:
    """Return arguments of builds by name.

    Raises
    ------
    ImageError
        One has no '='.
    """
    for word in words:
        if "=" not in word:
            raise ImageError(f"--build-arg {word}: write NAME=VALUE.")
    return dict(word.split("=", 1) for word in words)


@app.command()
def test(
    name: Annotated[str, typer.Argument(help="The use case, or 'base'.")],
    notebook: Annotated[
        str | None, typer.Argument(help="One of its notebooks; all of them where left out.")
    ] = None,
    site: SiteOption = "laptop",
    state: StateOption = None,
    use_cases: UseCasesOption = None,
) -> None:
    """Run a use case's notebooks inside its image and print their checks.

    One that has no notebooks yet is tested by its parts: packages and programs.
    The container has no network and no rights, and can write its home and /tmp only. The exit
    status is 0 where every notebook ran and every check passed.
    """
    from ..images import docker

    with told():
        here = shelf(site, state, use_cases)
        [image] = select(here.images, [name])
        arguments = self_test_arguments(image, notebook)
        docker.require_docker()
        require_here(image)
    raise typer.Exit(docker.shown(*arguments))


@app.command()
def push(
    names: NamesArgument = None,
    site: SiteOption = "laptop",
    state: StateOption = None,
    use_cases: UseCasesOption = None,
) -> None:
    """Push images to the site's registry and note their digests."""
    from ..images import docker

    with told():
        here, wanted = ready(site, state, use_cases, names)
        for image in wanted:
            require_here(image)
        for image in wanted:
            docker.push(image.reference)
            noted(image, here.state)


@app.command()
def pull(
    names: NamesArgument = None,
    site: SiteOption = "laptop",
    state: StateOption = None,
    use_cases: UseCasesOption = None,
) -> None:
    """Pull images from the site's registry: exactly those whose digests are noted, if any are."""
    from ..images import docker

    with told():
        here, wanted = ready(site, state, use_cases, names)
        for image in wanted:
            known = here.record.get(image.reference)
            docker.pull(image.reference, known.digest if known else None)
            noted(image, here.state)


@app.command()
def digest(
    names: NamesArgument = None,
    site: SiteOption = "laptop",
    state: StateOption = None,
    use_cases: UseCasesOption = None,
) -> None:
    """Print the digests that are noted, a line an image; needs no Docker.

    Two sites with the same line have the same image, to the last byte. The exit status is 1 where
    one of the images is in no registry yet.
    """
    with told():
        here = shelf(site, state, use_cases)
        complete = True
        for image in select(here.images, names or []):
            known = here.record.get(image.reference)
            complete = complete and bool(known and known.digest)
            out.print(f"{image.reference}  {digest_text(known)}")
    if not complete:
        raise typer.Exit(1)


def digest_text(made: Made | None) -> str:
    """Return the digest of an image, or why there is none."""
    if made is None:
        return "not made yet"
    return made.digest or f"in no registry yet; on this machine it is {made.id}"


def require_here(image: Image) -> None:
    """Make sure that Docker has an image."""
    from ..images import docker

    if docker.made(image.reference) is None:
        raise ImageError(
            f"{image.reference} isn't on this machine. Build it: beamhub images build {image.name}"
        )


def noted(image: Image, state: Path) -> None:
    """Note what Docker knows of an image, and say its digest."""
    from ..images import docker

    if found := docker.made(image.reference):
        note(state, {image.reference: found})
        out.print(f"{image.reference}  {digest_text(found)}")
