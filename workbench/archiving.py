"""Pack a notebook with all that is known of its run into one file, an RO-Crate.

The crate follows the profile Process Run Crate 0.5: one action, made with the notebook as its
instrument, from data sets that are named by identifier and checksum, not contained. ``run.json``
holds the same in the form that the portal reads.
"""

import json
import os
import zipfile
from datetime import UTC, datetime
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from . import used
from .atomic_write import atomic_write
from .bibliography import bibtex, citations_of, manifest_folder
from .crate import description
from .documents import DocumentError
from .hashing import sha256_of_bytes
from .here import setting
from .manifest import load_manifest
from .parameters import code_cells, parameter_texts, source
from .record import MIME, Archived, PackedNotebook, Record, fingerprint
from .reporting import SESSION
from .tutorials import own_folder
from .words import size_text

LARGEST = 40_000_000
SUFFIX = ".crate.zip"
RUN, LOCK, BIBLIOGRAPHY = "run.json", "requirements.txt", "citations.bib"
SAVE = "Run its last cell, cite(), save the notebook with Ctrl+S, then try again."


class ArchiveError(Exception):
    """Why a notebook can't be archived, and what to do."""


def archive(
    notebook: Path | str | None = None,
    folder: Path | str | None = None,
    *,
    author: str | None = None,
) -> Path:
    """Pack a notebook, as it is saved, into one file with which others can repeat it.

    In it are the notebook with its outputs, the checks, the parameters, every Python package with
    its version, the image, the data sets with identifiers and checksums (not the data), the site's
    title, and what to cite, as BibTeX. What the outputs say is in it too: look whether they name
    what isn't for others.

    Parameters
    ----------
    notebook : path, optional
        The notebook; None means the one that this is called in.
    folder : path, optional
        Where to put the archive; None means ``archive`` in the use case's folder.
    author : str, optional
        A name to put into it; None means nobody's.

    Returns
    -------
    Path
        The archive, ``<notebook>-<time of the run>.crate.zip``.

    Raises
    ------
    ArchiveError
        The notebook isn't saved since it was run, or doesn't say what it used.
    """
    path = Path(notebook).resolve() if notebook is not None else own_notebook()
    raw, body = read_notebook(path)
    record = record_in(body)
    if notebook is None and (used.shown is None or not is_present(record)):
        raise ArchiveError(f"What is saved of {path.name} is not this run's. {SAVE}")
    if record is None:
        raise ArchiveError(f"{path.name} doesn't say what it has used. {SAVE}")
    try:
        about = Archived(
            notebook=PackedNotebook(
                name=path.name, size_bytes=len(raw), sha256=sha256_of_bytes(raw)
            ),
            author=author,
            not_as_run=not_as_run(body, record),
            parameters=parameter_texts(body),
            record=record,
        )
    except ValidationError as problem:
        where = ".".join(map(str, problem.errors()[0]["loc"]))
        raise ArchiveError(
            f"{path.name} can't be archived: its {where} doesn't fit. A name has up to 100 "
            "letters, digits, spaces and . , ( ) + = - _, and begins with a letter or a digit."
        ) from None
    return write(target_folder(path, record, folder), path, record, contents(path, raw, about))


def own_notebook() -> Path:
    """Return the path of the notebook that this kernel belongs to."""
    told = os.environ.get(SESSION, "")
    for path in (Path(told), Path.home() / told, Path.cwd() / Path(told).name):
        if told and path.suffix == ".ipynb" and path.is_file():
            return path.resolve()
    raise ArchiveError(
        "This kernel doesn't know which notebook it belongs to; it may have been renamed. "
        "Give its name: archive('my-notebook.ipynb')."
    )


def read_notebook(path: Path) -> tuple[bytes, dict[str, Any]]:
    """Return a notebook as it is saved, and what it says."""
    try:
        if path.stat().st_size > LARGEST:
            raise ArchiveError(
                f"{path.name} has {size_text(path.stat().st_size)}, and an archive takes "
                f"{size_text(LARGEST)}: clear its largest outputs, then save it."
            )
        raw = path.read_bytes()
        body = json.loads(raw)
    except OSError as problem:
        raise ArchiveError(f"{path} can't be read: {problem.strerror or problem}.") from None
    except ValueError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("cells"), list):
        raise ArchiveError(f"{path.name} isn't a notebook.")
    return raw, body


def record_in(body: dict[str, Any]) -> Record | None:
    """Return the last record among a notebook's outputs."""
    found = None
    for cell in body["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {}).get(MIME)
            if data is not None:
                found = data
    try:
        return Record.model_validate_json(json.dumps(found)) if found is not None else None
    except ValidationError:
        return None


def is_present(record: Record | None) -> bool:
    """Return whether a record is the one that this kernel showed last."""
    return record is not None and (record.run, record.finished) == (used.RUN, used.shown)


def not_as_run(body: dict[str, Any], record: Record) -> int | None:
    """Return how many cells of code a run didn't run as they are saved, None where nobody knows."""
    sources = [source(cell) for cell in code_cells(body)]
    ran = set(record.cells)
    return sum(bool(s.strip()) and fingerprint(s) not in ran for s in sources) if ran else None


def target_folder(notebook: Path, record: Record, folder: Path | str | None) -> Path:
    """Return where the archive goes."""
    if folder is not None:
        return Path(folder)
    base = own_folder(record.use_case) if record.use_case and setting("USE_CASE") else None
    return (base or notebook.parent) / "archive"


def contents(path: Path, raw: bytes, about: Archived) -> dict[str, bytes]:
    """Return the files of the archive by name, the description of all of them first."""
    record = about.record
    pins = "".join(f"{name}=={version}\n" for name, version in record.packages.items())
    files = {
        path.name: raw,
        RUN: about.model_dump_json(indent=1, exclude_none=True).encode() + b"\n",
        LOCK: f"# Python {record.python}\n{pins}".encode(),
        BIBLIOGRAPHY: bibliography(path, record).encode(),
    }
    for module in record.modules:
        mine = path.parent / module.name
        text = mine.read_bytes() if mine.is_file() else b""
        if sha256_of_bytes(text) == module.sha256:  # else it was changed since
            files[module.name] = text
    told = json.dumps(description(about, files), indent=1, ensure_ascii=False, sort_keys=True)
    return {"ro-crate-metadata.json": told.encode() + b"\n", **files}


def bibliography(path: Path, record: Record) -> str:
    """Return what to cite for a run, as BibTeX; empty where no manifest says it."""
    folder = manifest_folder(path.parent)
    try:
        manifest = load_manifest(folder) if folder else None
    except DocumentError:
        manifest = None
    if manifest is None:
        return ""
    software = [s.name for s in record.software]
    labels = [d.label.partition("/")[2] for d in record.data_sets]
    return bibtex(citations_of(manifest, software, labels))


def write(folder: Path, notebook: Path, record: Record, files: dict[str, bytes]) -> Path:
    """Write the archive, never over another one; the same run gives the same bytes."""
    packed = pack(files, record.finished)
    stem = f"{notebook.stem}-{record.finished.astimezone(UTC):%Y%m%d-%H%M%S}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            path = folder / f"{stem}{f'-{number}' if number > 1 else ''}{SUFFIX}"
            if path.exists() and path.read_bytes() == packed:
                return path
            if not path.exists():
                break
        atomic_write(path, packed)
    except OSError as problem:
        raise ArchiveError(
            f"The archive can't be written: {problem.strerror or problem}. Is the folder full?"
        ) from None
    return path


def pack(files: dict[str, bytes], when: datetime) -> bytes:
    """Return the files as a zip whose bytes depend on them and the given time alone."""
    stamp = when.astimezone(UTC).timetuple()[:6]
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, stamp)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            target.writestr(entry, data)
    return buffer.getvalue()
