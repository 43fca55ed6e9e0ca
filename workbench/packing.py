"""A folder as a zip archive, piece by piece: nothing is written, and little is kept in memory."""

import os
import stat
import zipfile
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1 << 20
LEFT_OUT = "left-out.txt"
LEFT_OUT_HEADING = "Not in this archive, as they are links or could not be read:"
NEEDLESS = ".ipynb_checkpoints"


class Pieces(RawIOBase):
    """What an archive has grown by since it was looked at."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """Return that it can be written, and by that alone not read or sought in."""
        return True

    def write(self, data: Any) -> int:
        """Keep a piece."""
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """Return what has come, and keep it no longer."""
        taken, self._parts = b"".join(self._parts), []
        return taken


def archive(folder: Path) -> Iterator[bytes]:
    """Return the pieces of a zip archive of a folder, with the folder's name before all others.

    Links are not followed: they may lead anywhere, and in circles. What is left out is listed.
    """
    pieces, left_out = Pieces(), []
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_DEFLATED) as target:
        for path in files_in(folder):
            name = path.relative_to(folder.parent).as_posix()
            try:
                for _ in put(target, path, name):
                    yield pieces.take()
            except (OSError, UnicodeError):
                left_out.append(name)
        if left_out:
            lines = "\n".join([LEFT_OUT_HEADING, *left_out, ""])
            named = f"{folder.name}/{LEFT_OUT}"
            target.writestr(named, lines.encode("utf-8", "backslashreplace"))
    yield pieces.take()


def files_in(folder: Path) -> Iterator[Path]:
    """Return all that lies in a folder and is none itself, in order of names."""
    for top, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != NEEDLESS)
        links = [name for name in folders if Path(top, name).is_symlink()]
        for name in sorted([*files, *links]):
            yield Path(top, name)


def put(target: zipfile.ZipFile, path: Path, name: str) -> Iterator[None]:
    """Put a file into an archive, with a stop after each piece.

    Raises
    ------
    OSError
        It is no ordinary file, or can't be read.
    UnicodeError
        Its name is no text.
    """
    name.encode()
    # Neither a link nor a pipe that nobody writes into holds this up.
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(opened, "rb") as source:
        if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
            raise OSError(f"{path} is no file")
        entry = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
        entry.compress_type = zipfile.ZIP_DEFLATED
        with target.open(entry, "w", force_zip64=True) as packed:
            while chunk := source.read(CHUNK_BYTES):
                packed.write(chunk)
                yield
