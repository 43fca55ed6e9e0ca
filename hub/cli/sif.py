"""``beamhub images sif``: image files for clusters that run Apptainer."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..images.plan import Image, ImageError, select
from .common import StateOption, UseCasesOption, deployment_of, err, out
from .images import Shelf, SiteOption, shelf, told

if TYPE_CHECKING:
    from ..images.sif import Source


def sif(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Use cases; all that users can open where left out."),
    ] = None,
    site: SiteOption = "hpc",
    state: StateOption = None,
    use_cases: UseCasesOption = None,
    to: Annotated[
        Path | None,
        typer.Option(help="The folder. [default: backend.software.folder]", show_default=False),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option(
            help="A file of 'docker save' with the one image, where Docker isn't on this machine.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Make image files for Apptainer from the container images.

    <use case>-<version>.sif takes the place of the one before in one step, and what it was made of
    is noted beside it. One that was made of the same image is left as it is.
    """
    from ..images import docker, sif

    with told():
        here = shelf(site, state, use_cases)
        wanted = for_servers(here, names or [])
        folder = folder_of(site, to)
        if archive and len(wanted) != 1:
            raise ImageError("--archive: name the one use case whose image the file holds.")
        sif.require_apptainer()
        if not archive:
            docker.require_docker()
        for image in wanted:
            known = here.record.get(image.reference)
            found = sif.from_archive(image, archive, known) if archive else sif.from_docker(image)
            make(found, sif.target(image, folder), image.name)


def make(found: "Source", file: Path, name: str) -> None:
    """Make an image file, unless it is there, and note beside it what it was made of."""
    from ..images import sif

    there = sif.is_made(file, found)
    if not there:
        sif.make(file, found, partial(progress, name))
    sif.note(file, found)
    out.print(f"{file}  {'as before, ' if there else ''}of {found.name}, {found.made.id}")


def progress(name: str, text: str) -> None:
    """Print what is being done for an image."""
    err.print(f"{name:<10}  {text}")


def for_servers(here: Shelf, names: list[str]) -> list[Image]:
    """Return the images of use cases that are wanted.

    Raises
    ------
    ImageError
        One belongs to no use case.
    """
    wanted = select(here.images, names)
    others = [image.name for image in wanted if image.use_case is None]
    if names and others:
        raise ImageError(f"'{others[0]}' is no use case: jobs run images of use cases only.")
    return [image for image in wanted if image.use_case]


def folder_of(site: str, to: Path | None) -> Path:
    """Return where image files belong.

    Raises
    ------
    ImageError
        Nobody has told, or there is no such folder.
    """
    folder = to or deployment_of(site).site.backend.image_folder
    if folder is None:
        raise ImageError(
            f"The site '{site}' runs no image files (backend.software.kind: apptainer), so say "
            "where they shall lie: --to FOLDER"
        )
    if not folder.is_dir():
        raise ImageError(f"There is no folder {folder} on this machine.")
    return folder.resolve()
