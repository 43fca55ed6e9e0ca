"""Image files of Apptainer: their names, what is noted of each, and what is wrong with one."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from .. import child_processes
from ..launch import Declared, ImageReference

SUFFIX = ".sif"
INSPECT_S = 30
NAME_LABEL = "org.beamhub.use-case"
VERSION_LABEL = "org.opencontainers.image.version"


class Origin(Declared):
    """What an image file was made from; it lies beside the file, as JSON.

    Parameters
    ----------
    image : str
        The container image: ``<registry>/<name>@sha256:...`` where a registry has it, else its
        reference.
    id : str
        The digest of the container image's configuration.
    size_bytes : int
        Of the image file. A file of another size isn't the one that this was noted of.
    """

    image: ImageReference
    id: str
    size_bytes: int


def image_file(folder: Path, use_case: str, version: str) -> Path:
    """Return where the image file of a use case lies."""
    return folder / f"{use_case}-{version}{SUFFIX}"


def note_beside(file: Path) -> Path:
    """Return where it's noted what an image file was made from."""
    return file.with_name(f"{file.name}.json")


def origin_of(file: Path) -> Origin | None:
    """Return what an image file was made from, None where that isn't known for certain."""
    try:
        found = Origin.model_validate_json(note_beside(file).read_bytes())
        return found if found.size_bytes == file.stat().st_size else None
    except (OSError, ValidationError):
        return None


def missing_text(folder: Path, use_case: str, version: str) -> str:
    """Return that there is no image file of this version, and what there is instead."""
    beginning = f"{use_case}-"
    others = [
        path.name.removeprefix(beginning).removesuffix(SUFFIX)
        for path in sorted(folder.glob(f"{use_case}-[0-9]*{SUFFIX}"))
    ]
    there = f", only of version {' and '.join(others)}" if others else ""
    return (
        f"There is no image file {image_file(folder, use_case, version)} of version {version}"
        f"{there}. An administrator makes it with 'beamhub images sif {use_case}'."
    )


def faults(folder: Path, use_case: str, version: str) -> Iterator[str]:
    """Yield why jobs could not run a use case's image file, a sentence each."""
    file = image_file(folder, use_case, version)
    if not file.is_file():
        yield missing_text(folder, use_case, version)
        return
    if not file.stat().st_mode & 0o004:
        yield f"Other accounts can't read {file}, so no job could: chmod 644 {file}"
    if note_beside(file).exists() and origin_of(file) is None:
        yield (
            f"{file} isn't the file that was noted beside it, or only a part of it. Make it again: "
            f"beamhub images sif {use_case}"
        )
    labels = labels_of(file)
    told = tuple(labels.get(name, "") for name in (NAME_LABEL, VERSION_LABEL))
    if labels and told != (use_case, version):
        yield f"{file} holds '{told[0] or 'something else'}' of version {told[1] or 'unknown'}."


def labels_of(file: Path) -> dict[str, str]:
    """Return what an image file says of itself; nothing where Apptainer isn't here to ask."""
    if shutil.which("apptainer") is None:
        return {}
    command = ["apptainer", "inspect", "--labels", "--json", str(file)]
    try:
        done = child_processes.run(command, capture_output=True, timeout=INSPECT_S)
        attributes = json.loads(done.stdout)["data"]["attributes"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError):
        return {}
    return dict(attributes.get("labels") or {})
