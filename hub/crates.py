"""Read archives of notebooks that anybody may have made.

An archive is a zip from a stranger. It is read in a process of its own without any rights, see
`hub.confined`. Nothing comes back but a record of known shape and the notebook's bytes. Nothing
in it is run, unpacked or looked up. Run as ``python -m hub.crates RECORD NOTEBOOK``, the numbers of
two open descriptors, with the archive on standard input.
"""

import codecs
import hashlib
import json
import os
import stat
import sys
import unicodedata
import zipfile
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import PurePosixPath
from typing import IO, Any, NoReturn

from pydantic import ValidationError

from workbench.record import Archived
from workbench.words import size_text

from .confined import confine

LARGEST = 50_000_000
LARGEST_NOTEBOOK = 40_000_000
LARGEST_RECORD = 4_000_000
LARGEST_UNPACKED = 200_000_000
MOST_FILES = 300
MOST_CELLS = 5000
MEMORY = 768 << 20
SECONDS = 20
RUN, NOTEBOOK = "run.json", "notebook.ipynb"
REFUSED, OUT_OF_MEMORY = 2, 3
UTF8 = 1 << 11
"""The flag of a zip's entry that says how its name is written; else it is IBM's code page 437."""
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What zipfile makes of a damaged archive, encrypted and unusual ones included."""


class CrateError(Exception):
    """Why a file isn't an archive that can be used; the text is for the user."""


def read_crate(given: IO[bytes]) -> tuple[Archived, bytes]:
    """Return what an archive says of itself, and its notebook.

    Parameters
    ----------
    given : file
        What a user sent.

    Raises
    ------
    CrateError
        It isn't an archive of a notebook, or anything of it is not as it should be.
    """
    if given.seek(0, os.SEEK_END) > LARGEST:
        raise CrateError(f"The file is larger than {size_text(LARGEST)}.")
    try:
        with zipfile.ZipFile(given) as packed:
            entries = as_packed(checked_entries(packed))
            about = read_about(member(packed, entries, RUN, LARGEST_RECORD))
            notebook = member(packed, entries, about.notebook.name, LARGEST_NOTEBOOK)
    except BROKEN:
        raise CrateError("The file isn't an archive of a notebook, or it is damaged.") from None
    if hashlib.sha256(notebook).hexdigest() != about.notebook.sha256:
        raise CrateError(
            "The notebook in this archive is not the one that its record describes: the checksums "
            "differ. It was changed or damaged after it was archived."
        )
    check_notebook(notebook)
    return about, notebook


def checked_entries(packed: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return what a zip says that it holds, by name.

    Only two of its files are ever read, and none is unpacked. Whatever else is odd about it still
    says that somebody means ill.
    """
    listed = [entry for entry in packed.infolist() if not added_by_macos(entry.filename)]
    if len(listed) > MOST_FILES:
        raise CrateError(f"The archive has more than {MOST_FILES} files.")
    entries = {name_of(entry): entry for entry in listed}
    if len(entries) != len(listed):
        raise CrateError("The archive has two files of the same name.")
    for entry in listed:
        name = entry.orig_filename
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or not parts:
            raise CrateError("The archive has a file whose name leads out of it.")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise CrateError("The archive has a link or a device in it.")
    if sum(entry.file_size for entry in listed) > LARGEST_UNPACKED:
        raise CrateError(f"The archive holds more than {size_text(LARGEST_UNPACKED)}.")
    return entries


def added_by_macos(name: str) -> bool:
    """Return whether a file is one that macOS puts beside others when it packs them."""
    first, *_ = parts = PurePosixPath(name).parts or ("",)
    return first == "__MACOSX" or parts[-1] == ".DS_Store" or parts[-1].startswith("._")


def name_of(entry: zipfile.ZipInfo) -> str:
    """Return a file's name; macOS parts letters from their accents, and says no encoding."""
    name = entry.filename
    if not entry.flag_bits & UTF8:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name)


def as_packed(entries: dict[str, zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Return the files of an archive by the names that BeamHub gave them.

    Who unpacks an archive and packs it again often packs the folder around it too.
    """
    found = [PurePosixPath(name) for name in entries if PurePosixPath(name).name == RUN]
    depth = min((len(path.parts) for path in found), default=1)
    nearest = [path for path in found if len(path.parts) == depth]
    if len(nearest) > 1:
        raise CrateError("There are several archives in this file. Send one of them.")
    folder = f"{nearest[0].parent}/" if nearest and depth > 1 else ""
    return {
        name.removeprefix(folder): entry
        for name, entry in entries.items()
        if name.startswith(folder)
    }


def member(
    packed: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], name: str, largest: int
) -> bytes:
    """Return one file of the archive, never more of it than is allowed."""
    entry = entries.get(unicodedata.normalize("NFC", name))
    if entry is None:
        raise CrateError(
            f"There is no '{name}' in this file, so it isn't an archive of BeamHub. Archives are "
            "made with the button at the end of a notebook."
        )
    if entry.file_size > largest:
        raise CrateError(f"'{name}' in this archive is larger than {size_text(largest)}.")
    with packed.open(entry) as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise CrateError(f"'{name}' in this archive is larger than {size_text(largest)}.")
    return data


def read_about(text: bytes) -> Archived:
    """Return the record of an archive."""
    try:
        return Archived.model_validate_json(text)
    except (ValidationError, RecursionError):
        raise CrateError(
            "The record in this archive is not as BeamHub writes it. It may come from a newer "
            "version than this portal has, or it was changed."
        ) from None


def check_notebook(data: bytes) -> None:
    """Refuse what JupyterLab would not take for a notebook."""
    try:
        body = json.loads(data, parse_constant=no_number)
    except (ValueError, RecursionError):
        body = None
    cells = body.get("cells") if isinstance(body, dict) else None
    if not isinstance(body, dict) or body.get("nbformat") != 4 or not isinstance(cells, list):
        raise CrateError("The notebook in this archive is none that JupyterLab can open.")
    if len(cells) > MOST_CELLS or not all(map(is_cell, cells)):
        raise CrateError("The notebook in this archive has cells that are none.")


def is_cell(cell: Any) -> bool:
    """Return whether something is a cell of a notebook."""
    if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown", "raw"):
        return False
    source = cell.get("source")
    lines = [source] if isinstance(source, str) else source
    return isinstance(lines, list) and all(isinstance(line, str) for line in lines)


def no_number(word: str) -> NoReturn:
    """Refuse what Python reads as a number and JSON has not."""
    raise ValueError(word)


def main(arguments: list[str]) -> int:
    """Read the archive on standard input; write its record and its notebook, or say what is wrong.

    Parameters
    ----------
    arguments : list of str
        The numbers of two descriptors, open for writing.
    """
    run, notebook = (os.fdopen(int(number), "wb") for number in arguments)
    archive = sys.stdin.buffer
    warm_up()
    confine(memory_bytes=MEMORY, seconds=SECONDS, file_bytes=LARGEST_NOTEBOOK)
    try:
        about, data = read_crate(archive)
    except CrateError as problem:
        print(problem)  # noqa: T201
        return REFUSED
    except MemoryError:
        return OUT_OF_MEMORY
    with notebook, run:
        notebook.write(data)
        run.write(about.model_dump_json(exclude_none=True).encode())
    return 0


def warm_up() -> None:
    """Import what Python imports at the first use only: a confined process can't."""
    for encoding in ("ascii", "cp437", "idna", "latin-1", "utf-16", "utf-32"):
        codecs.lookup(encoding)
    with suppress(CrateError):
        read_crate(BytesIO(pack_nothing()))


def pack_nothing() -> bytes:
    """Return an archive with a record that is none, packed in every way that is read."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr(RUN, "{}")
    return packed.getvalue()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
