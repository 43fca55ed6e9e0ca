"""``beamhub new``: a beginning that already passes every check."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.documents import load
from workbench.manifest import NAME_RULE, is_name, load_manifest

from ..scaffold import SITE, USE_CASE_FILES
from ..site import PROFILES, SiteProfile
from .common import fail, findings_to_the_reader, out

app = typer.Typer(
    no_args_is_help=True,
    help="Make a use case or a site profile to begin with.",
    rich_markup_mode=None,
)


@app.command("use-case")
def use_case(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens.")],
    folder: Annotated[
        Path, typer.Option("--in", help="Where to make its folder: notebooks/ or your own.")
    ] = Path(),
) -> None:
    """Make a use case: a manifest, requirements and a notebook that checks itself."""
    refuse_bad_name(name)
    target = folder / name
    if target.exists():
        raise fail(f"{target} is there already; nothing was changed.")
    title = name.replace("-", " ").capitalize()
    for file, text in USE_CASE_FILES.items():
        write(target / file, text.replace("@NAME@", name).replace("@TITLE@", title))
    with findings_to_the_reader():
        load_manifest(target)
    out.print(f"Made {target}. It is on the catalogue with: beamhub serve --use-cases {folder}")
    out.print(f"Run its notebook without a person:    beamhub run {name} --use-cases {folder}")


@app.command()
def site(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens.")],
    folder: Annotated[Path, typer.Option("--in", help="Where to put the file.")] = Path(),
    extends: Annotated[str, typer.Option(help="The shipped profile to begin from.")] = "laptop",
) -> None:
    """Make a site profile that extends a shipped one."""
    refuse_bad_name(name)
    path = folder / f"{name}.yaml"
    if path.exists():
        raise fail(f"{path} is there already; nothing was changed.")
    title = name.replace("-", " ").title()
    write(path, SITE.replace("@PARENT@", extends).replace("@TITLE@", title))
    try:
        with findings_to_the_reader():
            load(path, SiteProfile, parents=PROFILES)
    except typer.Exit:
        path.unlink()
        raise
    out.print(f"Made {path}. Edit it, then run: beamhub check {path}")


def write(path: Path, text: str) -> None:
    """Write a file into a folder that is made where it isn't there yet, or exit."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise fail(f"{path} can't be written: {error.strerror}.") from None


def refuse_bad_name(name: str) -> None:
    """Exit where a name can't become an address and an image."""
    if not is_name(name):
        raise fail(f"'{name}' can't be a name: {NAME_RULE}.")
