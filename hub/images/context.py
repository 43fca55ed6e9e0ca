"""What is sent to a build: the part of the repository that an image is made of, and no more.

Laid out as the repository, so that ``docker build`` in a checkout does the same. Modes are set
anew, so that an image doesn't depend on the umask of whoever made it.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import workbench
from spawners import child_processes
from spawners.environments import base_requirements, server_extra, workbench_files
from spawners.payload import copy_for_all, files_below

from ..usecases import CONSTRAINTS
from .labels import Origin
from .plan import HUB, Image, ImageError

RECIPES = Path(__file__).parents[2] / "images"
"""The recipes that BeamHub ships, a folder each."""
CHECKOUT = RECIPES.parent
PORTAL_FILES = (
    "LICENSE",
    "README.md",
    "constraints.txt",
    "package-lock.json",
    "package.json",
    "pyproject.toml",
)
PORTAL_FOLDERS = ("hub", "notebooks", "site_profiles", "spawners", "workbench")
"""What the portal's own image is made of, beside the recipes; a wheel lacks some of the files."""
ARGUMENT = re.compile(r"^ARG (\w+)", re.MULTILINE)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def recipes() -> dict[str, set[str]]:
    """Return the recipes that there are with all that they copy, and the arguments of each."""
    complete = all((CHECKOUT / name).is_file() for name in PORTAL_FILES)
    return {
        path.parent.name: set(ARGUMENT.findall(path.read_text(encoding="utf-8")))
        for path in RECIPES.glob("*/Dockerfile")
        if complete or path.parent.name != HUB
    }


def origin() -> Origin:
    """Return what images are made from here."""
    changed = git("status", "--porcelain", "--", "images", *PORTAL_FILES, *PORTAL_FOLDERS)
    revision = git("rev-parse", "HEAD")
    return Origin(
        version=metadata.version("beamhub"),
        revision=f"{revision}-changed" if changed else revision,
        source=without_credentials(git("remote", "get-url", "origin")),
    )


def git(*arguments: str) -> str:
    """Return what git says of the repository, empty where there is none."""
    command = ["git", "-C", str(CHECKOUT), *arguments]
    try:
        done = child_processes.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    return "" if done.returncode else done.stdout.strip()


def without_credentials(address: str) -> str:
    """Return a repository's address if it's a public one, its name and password left out."""
    parts = urlsplit(address)
    if parts.scheme != "https" or not parts.hostname:
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


@contextmanager
def build_context(image: Image) -> Iterator[Path]:
    """Lay out what an image is made of, for as long as the context lasts."""
    with TemporaryDirectory(prefix="beamhub-image-") as scratch:
        folder = Path(scratch)
        copy_for_all(RECIPES, files_below(RECIPES), folder / "images")
        if image.name == HUB:
            copy_portal(folder)
            yield folder
            return
        package = Path(workbench.__file__).parent
        copy_for_all(package, workbench_files(package), folder / "workbench")
        project = folder / "pyproject.toml"
        project.write_text(project_text(), encoding="utf-8")
        project.chmod(0o644)
        copy_for_all(CONSTRAINTS.parent, [CONSTRAINTS], folder / "notebooks")
        if image.use_case:
            source = image.use_case.folder
            copy_for_all(source, files_below(source), folder / "notebooks" / image.name)
        yield folder


def copy_portal(folder: Path) -> None:
    """Lay out what the portal's own image is made of, beside the recipes."""
    copy_for_all(CHECKOUT, [CHECKOUT / name for name in PORTAL_FILES], folder)
    for name in PORTAL_FOLDERS:
        copy_for_all(CHECKOUT / name, files_below(CHECKOUT / name), folder / name)


def project_text() -> str:
    """Return of ``pyproject.toml`` what builds read: the packages that every server has.

    Made from the installed distribution, which knows them in a checkout and in a wheel alike.
    """
    # JSON's lists of texts are TOML's too.
    return (
        f'[project]\nname = "beamhub"\nversion = "{metadata.version("beamhub")}"\n'
        f"dependencies = {json.dumps(base_requirements())}\n"
        f"[project.optional-dependencies]\nserver = {json.dumps(server_extra())}\n"
    )


@contextmanager
def build_secrets(ca: Path | None) -> Iterator[dict[str, Path]]:
    """Yield files that a build may read, by the names that recipes know.

    Parameters
    ----------
    ca : Path or None
        The certificates that downloads are checked against, None for Debian's own.

    Raises
    ------
    ImageError
        The file of certificates can't be read.
    """
    index = os.environ.get("UV_DEFAULT_INDEX")
    with TemporaryDirectory(prefix="beamhub-secrets-") as scratch:
        found: dict[str, Path] = {}
        if ca:
            found["ca"] = Path(scratch) / "ca"
            try:
                found["ca"].write_bytes(ca.read_bytes())
            except OSError as error:
                raise ImageError(f"{ca} can't be read: {error.strerror}.") from None
        if index:
            found["index"] = Path(scratch) / "index"
            found["index"].write_text(index, encoding="utf-8")
        yield found


def passed_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the variables of proxies that are set, which Docker hands on and never keeps."""
    names = [*PROXIES, *(name.lower() for name in PROXIES)]
    return [name for name in names if environment.get(name)]
