"""The record of a run: what a notebook used and how its checks came out.

`cite` puts it into the notebook's output, so that the notebook as saved carries it; an archive
holds it as ``run.json``. It is read again from files that anybody may have made, so that every
part has a limit.
"""

import hashlib
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, HttpUrl, NonNegativeInt

from . import used
from .checks import state_of
from .data_sources import SourceName
from .declared import Declared
from .hashing import sha256_of
from .here import setting
from .manifest import Doi, Licence, Manifest, Name, Sha256, Software, is_name

MIME = "application/vnd.beamhub.run+json"
"""What the record is called among a cell's outputs."""
LISTED_FILES = 1000
HASHED_BYTES = 1 << 30
"""Files that nobody compared yet are read for their checksum if they aren't larger together."""

Line = Annotated[str, Field(max_length=300)]
Text = Annotated[str, Field(max_length=2000)]


class UsedFile(Declared):
    """One file of a data set."""

    name: Line
    size_bytes: NonNegativeInt
    sha256: Sha256 | None = Field(None, description="None where it was too large to be read again")


class UsedData(Declared):
    """A data set that the notebook was given; its files are not in the archive."""

    label: Annotated[str, Field(pattern=r"^[a-z0-9-]{2,30}/[a-z0-9-]{2,30}$")]
    title: Line
    licence: Licence
    source: SourceName
    seed: NonNegativeInt | None = Field(None, description="Of a simulated one")
    doi: Doi | None = None
    url: HttpUrl | None = None
    complete: bool = Field(True, description="Whether the notebook was given all of its files")
    n_files: NonNegativeInt
    size_bytes: NonNegativeInt
    sums: Sha256 = Field(description="SHA-256 of the list of all files, as sha256sum writes it")
    files: list[UsedFile] = Field([], max_length=LISTED_FILES)


class UsedSoftware(Declared):
    """A program that the use case names and the notebook used."""

    name: Line
    version: Annotated[str, Field(max_length=80)]
    licence: Licence
    url: HttpUrl


class Module(Declared):
    """A Python file beside the notebook that it imported."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*\.py$", max_length=200)]
    sha256: Sha256


class CheckResult(Declared):
    """One check, in words and numbers for a reader."""

    name: Line
    expected: Text
    got: Text
    tolerance: Line
    passed: bool
    judged: bool = True

    @property
    def state(self) -> str:
        """Its state in words."""
        return state_of(self.passed, self.judged)


class Report(Declared):
    """What `Checks.report` told."""

    title: Line
    passed: bool
    verdict: Line
    checks: list[CheckResult] = Field(max_length=500)


class Record(Declared):
    """What one run of a notebook used and how its checks came out."""

    format: Literal[1] = 1
    run: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="Tells it from other runs")]
    finished: AwareDatetime
    use_case: Name | None = None
    version: Annotated[str, Field(max_length=30)] = ""
    site: Line = ""
    size: Line = ""
    image: Line = Field("", description="Empty where no container was used")
    python: Annotated[str, Field(max_length=30)]
    machine: Annotated[str, Field(max_length=60, description="The kind of processor")]
    packages: dict[Annotated[str, Field(max_length=120)], Annotated[str, Field(max_length=80)]] = (
        Field(max_length=3000, description="Every installed Python package and its version")
    )
    software: list[UsedSoftware] = Field([], max_length=200)
    data_sets: list[UsedData] = Field([], max_length=200)
    modules: list[Module] = Field([], max_length=200)
    reports: list[Report] = Field([], max_length=50)
    cells: list[Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]] = Field(
        [], max_length=5000, description="Fingerprints of the cells that were run"
    )

    @property
    def passed(self) -> bool:
        """Whether there were checks and all of them held."""
        return bool(self.reports) and all(report.passed for report in self.reports)

    @property
    def n_checks(self) -> int:
        """How many checks there were."""
        return sum(len(report.checks) for report in self.reports)


class PackedNotebook(Declared):
    """The notebook inside an archive."""

    name: Annotated[str, Field(pattern=r"^[^\W_][\w .,()+=-]{0,99}\.ipynb$")]
    size_bytes: NonNegativeInt
    sha256: Sha256


class Archived(Declared):
    """What ``run.json`` of an archive says."""

    notebook: PackedNotebook
    author: Line | None = Field(None, description="Only if the user gave a name")
    not_as_run: NonNegativeInt | None = Field(
        None, description="Cells of code that this run didn't run as they are saved"
    )
    parameters: dict[Annotated[str, Field(max_length=100)], Text] = Field({}, max_length=200)
    record: Record


def take(manifest: Manifest | None, use_case: str) -> Record:
    """Return what this process has used so far.

    Parameters
    ----------
    manifest : Manifest or None
        Of the use case that the notebook belongs to, None where there is none.
    use_case : str
        Its name, where no portal says it.
    """
    name = setting("USE_CASE") or use_case
    version = setting("USE_CASE_VERSION") or (manifest.version if manifest else "")
    packages = installed()
    return Record(
        run=used.RUN,
        finished=datetime.now(UTC).replace(microsecond=0),
        use_case=name if is_name(name) else None,
        version=version,
        site=setting("SITE")[:300],
        size=setting("SIZE"),
        image=setting("IMAGE"),
        python=platform.python_version(),
        machine=platform.machine(),
        packages=packages,
        software=[as_used(s, packages) for s in software_used(manifest)] if manifest else [],
        data_sets=[data_used(handed) for handed in used.HANDED.values()],
        modules=list(modules_used(Path.cwd())),
        reports=[as_report(body) for body in used.REPORTS.values()],
        cells=cells_run(),
    )


def cells_run() -> list[str]:
    """Return the fingerprints of the cells that this kernel has run; empty outside of one."""
    ipython: Any = sys.modules.get("IPython.core.getipython")
    shell = ipython.get_ipython() if ipython else None
    ran = getattr(getattr(shell, "history_manager", None), "input_hist_raw", [])
    return list({fingerprint(source): None for source in ran if source.strip()})[-5000:]


def fingerprint(source: str) -> str:
    """Return what tells a cell's text from others, blanks at its ends left out."""
    return hashlib.sha256(source.strip().encode()).hexdigest()[:16]


def as_report(body: Mapping[str, Any]) -> Report:
    """Return what a notebook reported, texts that are too long for a record cut."""
    checks = [
        CheckResult(
            name=c["name"][:300],
            expected=c["expected"][:2000],
            got=c["got"][:2000],
            tolerance=c["tolerance"][:300],
            passed=c["passed"],
            judged=c.get("judged", True),
        )
        for c in body["checks"][:500]
    ]
    title, verdict = body["title"][:300], body["verdict"][:300]
    return Report(title=title, passed=body["passed"], verdict=verdict, checks=checks)


def installed() -> dict[str, str]:
    """Return every installed Python package and its version, by name."""
    found = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"]}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def imported() -> set[str]:
    """Return the installed packages of which this process has loaded a module, normalised."""
    loaded = {name.partition(".")[0] for name in sys.modules}
    owners = metadata.packages_distributions()
    return {normal(owner) for module in loaded for owner in owners.get(module, ())}


def normal(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distribution_of(software: Software, packages: Mapping[str, str]) -> str:
    """Return the name of the installed package that a program is, empty where it is none."""
    wanted = {normal(software.name), normal(software.name.replace(" ", "-"))}
    return next((name for name in packages if normal(name) in wanted), "")


def software_used(manifest: Manifest) -> list[Software]:
    """Return what of a use case's software this process used.

    That is what it has imported. Of programs that aren't Python packages nothing can be told, so
    they count as used.
    """
    packages, loaded = installed(), imported()
    names = [(s, distribution_of(s, packages)) for s in manifest.software]
    return [s for s, name in names if not name or normal(name) in loaded]


def as_used(software: Software, packages: Mapping[str, str]) -> UsedSoftware:
    """Return a program with the version that is installed."""
    version = packages.get(distribution_of(software, packages), software.version)
    return UsedSoftware(
        name=software.name, version=version, licence=software.licence, url=software.url
    )


def data_used(handed: used.Handed) -> UsedData:
    """Return what there is to say of a data set that was handed out."""
    data = handed.data
    files = list(files_used(handed))
    lines = sorted(f"{f.sha256 or '-' * 64}  {f.name}\n" for f in files)
    return UsedData(
        label=f"{handed.use_case}/{handed.name}",
        title=data.title[:300],
        licence=data.licence,
        source=data.source,
        seed=data.seed if data.source_kind.seeded else None,
        doi=data.doi,
        url=data.url,
        complete=handed.complete,
        n_files=len(files),
        size_bytes=sum(f.size_bytes for f in files),
        sums=hashlib.sha256("".join(lines).encode()).hexdigest(),
        files=files if len(files) <= LISTED_FILES else [],
    )


def files_used(handed: used.Handed) -> Iterator[UsedFile]:
    """Yield the files of a data set with their checksums."""
    sizes = {name: size_of(handed.folder / name) for name in handed.sums}
    unread = sum(size for name, size in sizes.items() if not handed.sums[name])
    for name, size in sizes.items():
        digest = handed.sums[name] or None
        path = handed.folder / name
        if digest is None and unread <= HASHED_BYTES and path.is_file():
            digest = sha256_of(path)
        yield UsedFile(name=name[:300], size_bytes=size, sha256=digest)


def size_of(path: Path) -> int:
    """Return the size of a file in bytes, 0 where it's gone."""
    return path.stat().st_size if path.is_file() else 0


def modules_used(folder: Path) -> Iterator[Module]:
    """Yield the Python files below `folder` that this process has imported."""
    for module in list(sys.modules.values()):
        origin: Any = getattr(module, "__file__", None)
        path = Path(origin) if isinstance(origin, str) else Path("/nonexistent")
        if path.suffix != ".py" or not path.is_relative_to(folder) or not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()
        if re.fullmatch(r"[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*\.py", name):
            yield Module(name=name, sha256=sha256_of(path))
