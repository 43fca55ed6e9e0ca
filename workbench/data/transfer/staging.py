"""Where the files of one data set gather until the set is complete."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..untrusted_files import remove_own

READ_ONLY = 0o444
BLOCK = 1 << 20


@dataclass(frozen=True)
class Arrived:
    """One file that is complete and, where its checksum is declared, verified.

    Parameters
    ----------
    name : str
        Below the data set's folder.
    size_bytes : int
    sha256 : str
    """

    name: str
    size_bytes: int
    sha256: str


class Staging:
    """The folder of a data set that is being fetched, and the one beside it for what is half done.

    Parameters
    ----------
    folder : Path
        Holds only files that are complete and verified. As `work`, it lies where no other account
        can write.
    work : Path
        Parts of files and archives; anything in it can be lost without harm.
    arrived : callable
        Called with each file as it gets into `folder`, by whatever thread brings it.

    Attributes
    ----------
    done : dict of str to Arrived
        The files in `folder`, those of earlier tries included.
    finished : set of str
        The declared files, archives among them, of which nothing is missing.
    """

    def __init__(self, folder: Path, work: Path, arrived: Callable[[Arrived], None]) -> None:
        self.folder, self.work, self._arrived = folder, work, arrived
        folder.mkdir(parents=True, exist_ok=True)
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.done: dict[str, Arrived] = {}
        self.finished: set[str] = set()
        self._lock = threading.Lock()
        self._recall()

    @property
    def _record(self) -> Path:
        return self.work / "arrived"

    def _recall(self) -> None:
        """Take up what earlier tries have brought; one may have ended between any two steps."""
        lines = self._record.read_bytes().split(b"\n")[:-1] if self._record.is_file() else []
        lost = False
        for line in lines:
            try:
                name, size, sha256 = json.loads(line)
            except ValueError:  # cut off where the disk was full
                continue
            if not sha256:
                self.finished.add(name)
                continue
            part, target = self.work / "parts" / name, self.folder / name
            if part.is_file() and not target.exists() and part.stat().st_size == size:
                self._place(part, target)
            if target.exists():
                self.done[name] = Arrived(name, size, sha256)
            else:
                lost = True
        if lost:
            self.finished.clear()

    def _write(self, line: list[str | int]) -> None:
        with self._lock, self._record.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")

    def finish(self, name: str) -> None:
        """Remember that nothing of the declared file `name` is missing."""
        self.finished.add(name)
        self._write([name, 0, ""])

    def packed(self, name: str) -> Path:
        """Return where the archive `name` grows, its folders made."""
        path = self.work / "packed" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def part(self, name: str) -> Path:
        """Return where the file `name` grows, its folders made."""
        path = self.work / "parts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def here(self, name: str) -> int:
        """Return how many bytes of a file that isn't complete are here."""
        for path in (self.work / "parts" / name, self.work / "packed" / name):
            if path.is_file():
                return path.stat().st_size
        return 0

    def accept(self, name: str, sha256: str) -> None:
        """Move a verified file from its part into the folder."""
        if name not in self.done:
            part = self.part(name)
            arrived = Arrived(name, part.stat().st_size, sha256)
            self._write([name, arrived.size_bytes, sha256])
            self._place(part, self.folder / name)
            self.done[name] = arrived
        self._arrived(self.done[name])

    def _place(self, part: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.chmod(READ_ONLY)
        part.replace(target)

    def drop(self, name: str) -> None:
        """Forget a file's part."""
        for path in (self.work / "parts" / name, self.work / "packed" / name):
            path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove everything."""
        remove_own(self.folder)
        remove_own(self.work)


def write_all(file: IO[bytes], data: bytes | memoryview) -> None:
    """Write all of `data` to an unbuffered file."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def blocks(path: Path, size: int | None = None) -> Iterator[bytes]:
    """Yield a file's bytes, or its first `size`."""
    left = path.stat().st_size if size is None else size
    with path.open("rb", buffering=0) as file:
        while left and (data := file.read(min(BLOCK, left))):
            left -= len(data)
            yield data
