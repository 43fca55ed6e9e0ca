"""The software catalogue: what the facilities' survey named, in one file of data."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, HttpUrl

from workbench.declared import Declared
from workbench.documents import load
from workbench.manifest import Licence, Name

from .usecases import NOTEBOOKS

Feature = Literal[
    "full-application",
    "library",
    "pipeline",
    "cloud-enabled",
    "open-source",
    "portal",
    "interactive",
    "batch",
    "mpi",
    "gpu",
]


class Program(Declared):
    """One program of the catalogue."""

    name: str
    house: str
    summary: str
    science: list[str]
    licence: Licence
    licence_note: str | None = None
    features: list[Feature]
    languages: list[str] = []
    link: HttpUrl
    status: str | None = Field(None, description="Its state today, where that is known")
    as_of: int | None = None
    use_case: Name | None = Field(None, description="The use case that runs it")


class SoftwareCatalogue(Declared):
    """The file as a whole."""

    programs: list[Program]


@cache
def load_software(path: Path = NOTEBOOKS / "software.yaml") -> list[Program]:
    """Return the catalogue's programs in the order of their names."""
    programs = load(path, SoftwareCatalogue).programs
    return sorted(programs, key=lambda program: program.name.lower())
