"""What is known of images that have been made: a file of the state folder."""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from workbench.atomic_write import atomic_write
from workbench.declared import Declared

RECORD = "images.json"
LISTS = "images"
"""The folder of the state that holds lists of software, one file an image."""


class Made(Declared):
    """One image, as it was when it was made, pushed or pulled last.

    Parameters
    ----------
    id : str
        The digest of its configuration: the same on every machine that has the same image.
    size_bytes : int
        All its layers, unpacked.
    digest : str or None
        ``<registry>/<name>@sha256:...``, None before a registry has it.
    """

    id: str
    size_bytes: int
    digest: str | None = None


def read_record(state: Path) -> dict[str, Made]:
    """Return what is known of images, by reference; nothing where the file isn't readable."""
    try:
        found = json.loads((state / RECORD).read_text(encoding="utf-8"))
        return {reference: Made.model_validate(made) for reference, made in found.items()}
    except (OSError, ValueError, AttributeError, ValidationError):
        return {}


def note(state: Path, made: Mapping[str, Made]) -> None:
    """Add to what is known of images."""
    known = {**read_record(state), **made}
    body = {reference: m.model_dump() for reference, m in sorted(known.items())}
    atomic_write(state / RECORD, (json.dumps(body, indent=1) + "\n").encode())
