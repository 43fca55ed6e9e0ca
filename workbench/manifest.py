"""A use case's manifest: what it is, what it needs, what it ships, how to cite it."""

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    HttpUrl,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from .data_sources import SOURCES, SourceKind, SourceName
from .declared import Declared
from .documents import DocumentError, load

MANIFEST = "usecase.yaml"

NAME_PATTERN = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
NAME_RULE = (
    "it needs 2 to 30 lower-case letters, digits and single hyphens, beginning with a letter"
)
Name = Annotated[
    str,
    Field(
        pattern=NAME_PATTERN,
        min_length=2,
        max_length=30,
        description="Lower-case letters, digits and hyphens; an address and an image name",
    ),
]
Sentence = Annotated[str, Field(min_length=10, max_length=200)]
Doi = Annotated[
    str, Field(pattern=r"^10\.\d{4,9}/[^\s{}]+$", description="Without https://doi.org/")
]
Licence = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9.+() -]+$",
        description="SPDX expression; LicenseRef-... where SPDX has no name for it",
    ),
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Program = Annotated[str, Field(pattern=r"^[A-Za-z0-9._+-]+$")]


def is_name(text: str) -> bool:
    """Return whether `text` can name a use case, a size or a site; see `NAME_RULE`."""
    return bool(re.fullmatch(NAME_PATTERN, text)) and 2 <= len(text) <= 30 and "\n" not in text


def inside_the_folder(path: str) -> str:
    """Return `path` if it names something below the folder it is relative to."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path:
        raise ValueError("expected a path below this folder, without '..'")
    return path


RelativePath = Annotated[str, Field(min_length=1), AfterValidator(inside_the_folder)]


class House(Declared):
    """The facility that leads a use case."""

    name: str = Field(description="As people say it: ESRF, DESY, ...")
    url: HttpUrl


class Maintainer(Declared):
    """Whom to ask about a use case."""

    name: str
    contact: str = Field(description="An e-mail address or the address of a page")


class Notebook(Declared):
    """One tutorial notebook."""

    file: Annotated[RelativePath, Field(pattern=r"^[A-Za-z0-9._/-]+\.ipynb$")]
    title: str
    summary: Sentence
    minutes: PositiveInt = Field(description="Time to read and work through it, not to compute it")
    data_sets: list[Name] = Field([], description="Data sets that it needs")
    programs: list[Program] = Field(
        [],
        description="Programs that must be on the PATH for this notebook, beside those of the "
        "whole use case; where they are not, the other notebooks can still be opened",
    )


class Citation(Declared):
    """A publication, with what a BibTeX entry needs."""

    key: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]+$")]
    kind: Literal["article", "dataset", "software", "inproceedings", "book"] = "article"
    authors: list[str] = Field(min_length=1, description="'Family, Given', in the printed order")
    title: str
    year: Annotated[int, Field(ge=1900, le=2100)]
    container: str | None = Field(None, description="Journal, proceedings, repository or publisher")
    volume: str | None = None
    pages: str | None = None
    doi: Doi | None = None
    url: HttpUrl | None = None


class Software(Declared):
    """One program or library that the use case builds on."""

    name: str
    version: str
    licence: Licence
    url: HttpUrl
    cite: list[Citation] = []


class LicenceGate(Declared):
    """A program that may not be passed on: a user must have accepted its terms."""

    program: str = Field(description="As people say it: XDS, CCP4, ...")
    commands: list[str] = Field([], description="What it's called on the PATH, if not that")
    terms: Sentence = Field(description="What is known of its licence, in a sentence of ours")
    url: HttpUrl = Field(description="Where its authors state their terms")
    declaration: Annotated[str, Field(min_length=40, max_length=2000)] = Field(
        description="What a user declares who accepts, in words of ours and in the first person, "
        "never the vendor's own text; whoever accepted another wording is asked again"
    )
    required: bool = Field(False, description="Whether nothing works without it")

    @model_validator(mode="after")
    def _can_be_named(self) -> Self:
        if not is_name(self.name):
            raise ValueError(f"the name of '{self.program}' would be '{self.name}': {NAME_RULE}")
        return self

    @property
    def name(self) -> str:
        """Its name in site profiles, addresses and records: `xds` for XDS."""
        return re.sub(r"[^a-z0-9]+", "-", self.program.lower()).strip("-")

    @property
    def version(self) -> str:
        """The SHA-256 of the declaration; where its lines break doesn't count."""
        return hashlib.sha256(" ".join(self.declaration.split()).encode()).hexdigest()


def without_credentials(url: HttpUrl) -> HttpUrl:
    """Return `url` if it holds neither a name nor a password, which logs would repeat."""
    if url.username or url.password:
        raise ValueError("an address must not hold a user name or a password")
    return url


PublicUrl = Annotated[HttpUrl, AfterValidator(without_credentials)]


class DataFile(Declared):
    """One file of a data set."""

    name: RelativePath
    urls: list[PublicUrl] = Field([], description="Where the publisher offers it, best first")
    size_bytes: NonNegativeInt | None = Field(None, description="None where nobody publishes it")
    sha256: Sha256 | Literal["unknown"] = Field(
        description="'unknown' where no publisher states it: such a file is refused by default"
    )
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = Field(
        None, description="Where the publisher states only this"
    )
    unpack: bool = Field(False, description="An archive whose contents are the data")


class DataSet(Declared):
    """Reference data: fetched, shipped inside a package, or simulated on the spot."""

    title: str
    licence: Licence
    source: SourceName
    package: str | None = Field(None, description="The installed package that ships it")
    folder: RelativePath | None = Field(None, description="Where in that package its files lie")
    generator: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*:[a-z][a-z0-9_]*$")] | None = Field(
        None,
        description="What simulates it: 'module:function' of this folder, called with the folder "
        "to write into and the seed",
    )
    seed: NonNegativeInt = 1
    makes: list[RelativePath] = Field([], description="The files that the generator writes")
    about_mb: PositiveFloat | None = Field(None, description="How large these are together")
    about_s: PositiveFloat | None = Field(None, description="How long making them takes")
    twin: Name | None = Field(None, description="The simulated data set that can stand in for it")
    doi: Doi | None = None
    url: HttpUrl | None = Field(None, description="The page that describes it")
    cite: list[Citation] = []
    files: list[DataFile] = []

    @model_validator(mode="after")
    def _source_is_told(self) -> Self:
        if not all(getattr(self, key) for key in self.source_kind.needs):
            raise ValueError(self.source_kind.otherwise)
        return self

    @property
    def source_kind(self) -> SourceKind:
        """What its source means to those who use it."""
        return SOURCES[self.source]

    @property
    def unverifiable(self) -> bool:
        """Whether nobody has published a checksum of one of its files."""
        return any(f.sha256 == "unknown" and not f.md5 for f in self.files)

    @property
    def size_bytes(self) -> int | None:
        """The size of all files in bytes, None where one of them is not published."""
        if self.about_mb:
            return round(self.about_mb * 1e6)
        sizes = [f.size_bytes for f in self.files]
        return None if None in sizes or not sizes else sum(s for s in sizes if s is not None)


class Needs(Declared):
    """What one server of the use case takes."""

    cores: PositiveFloat
    memory_gib: PositiveFloat
    gpus: NonNegativeInt = 0


class Resources(Declared):
    """The least that a use case runs with, and what its maintainers advise."""

    least: Needs
    advised: Needs

    @model_validator(mode="after")
    def _advice_is_enough(self) -> Self:
        for name, least in self.least:
            if getattr(self.advised, name) < least:
                raise ValueError(f"'advised' has less {name} than 'least'")
        return self


class App(Declared):
    """A program with a page or window of its own, opened from the card."""

    title: str
    kind: Literal["desktop", "web"]
    command: list[str] = Field(min_length=1)


class Manifest(Declared):
    """One use case, as declared in notebooks/<name>/usecase.yaml."""

    title: Annotated[str, Field(max_length=60)]
    summary: Annotated[Sentence, Field(max_length=140)]
    description: str = Field(min_length=40, description="What it does, in a few plain paragraphs")
    leading_house: House
    science_domain: str = Field(min_length=3, max_length=60)
    maintainers: list[Maintainer] = Field(min_length=1)
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    image_recipe: Name = Field("python", description="The folder of images/ that builds it")
    picture: RelativePath | None = Field(
        None, description="A figure made by its own tutorial, wider than high"
    )
    picture_alt: str = Field("", description="What the picture shows, for those who can't see it")
    kernels: list[str] = Field(["python3"], min_length=1)
    notebooks: list[Notebook] = []
    software: list[Software] = Field(min_length=1)
    licence_gates: list[LicenceGate] = []
    data_sets: dict[Name, DataSet] = {}
    resources: Resources
    programs: list[Program] = Field(
        [], description="Programs that must be on the PATH for any notebook to work"
    )
    apps: dict[Name, App] = {}
    coming: list[Sentence] = Field(
        [], description="What is still missing; while there is anything, nobody can open it"
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if not self.notebooks and not self.coming:
            raise ValueError("a use case needs 'notebooks', or says in 'coming' what is missing")
        for notebook in self.notebooks:
            for name in notebook.data_sets:
                if name not in self.data_sets:
                    raise ValueError(f"{notebook.file} needs '{name}', which 'data_sets' lacks")
        for name, data in self.data_sets.items():
            twin = self.data_sets.get(data.twin or name)
            if data.twin and (twin is None or not twin.source_kind.seeded):
                raise ValueError(f"data_sets.{name}: '{data.twin}' isn't a simulated data set here")
        gates = [gate.name for gate in self.licence_gates]
        if twice := next((name for name in gates if gates.count(name) > 1), None):
            raise ValueError(f"licence_gates: '{twice}' stands there twice")
        if self.picture and not self.picture_alt:
            raise ValueError("say in 'picture_alt' what the picture shows")
        return self

    @property
    def first_notebook(self) -> Notebook | None:
        """The notebook to begin with: the first of those that need the fewest programs."""
        return min(self.notebooks, key=lambda notebook: len(notebook.programs), default=None)

    @property
    def minutes(self) -> int:
        """Minutes to work through all notebooks."""
        return sum(notebook.minutes for notebook in self.notebooks)

    @property
    def desktop_apps(self) -> dict[str, App]:
        """The programs with windows of their own."""
        return {name: app for name, app in self.apps.items() if app.kind == "desktop"}

    @property
    def citations(self) -> list[Citation]:
        """Every publication to cite, software first, each once."""
        parts: list[Software | DataSet] = [*self.software, *self.data_sets.values()]
        return list({c.key: c for part in parts for c in part.cite}.values())


def load_manifest(folder: Path) -> Manifest:
    """Return the manifest of the use case in `folder`, whose files have been found.

    Raises
    ------
    DocumentError
        The manifest doesn't fit, or names a notebook, a picture or requirements that are not there.
    """
    path = folder / MANIFEST
    manifest = load(path, Manifest)
    named = [n.file for n in manifest.notebooks] + ([manifest.picture] if manifest.picture else [])
    generators = [d.generator for d in manifest.data_sets.values() if d.generator]
    named += sorted({f"{generator.partition(':')[0]}.py" for generator in generators})
    if not manifest.coming:
        named.append("requirements.txt")
    missing = [name for name in named if not (folder / name).is_file()]
    if missing:
        raise DocumentError(
            "\n".join(f"{path}:1: {name}: there is no such file" for name in missing)
        )
    return manifest
