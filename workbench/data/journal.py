"""What of a tar archive has been unpacked, so that the next try goes on in the middle of a file.

An archive that is unpacked while it arrives is never on the disk. Its checksum can be had again
all the same: the journal keeps the few bytes between the files, and the files are there.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One file of an archive whose unpacking has begun.

    Parameters
    ----------
    name : str
        As it is unpacked.
    data : int
        Where its contents begin in the stream, bytes.
    size : int
        Bytes.
    head : bytes
        All that came between the end of the file before and `data`.
    """

    name: str
    data: int
    size: int
    head: bytes

    @property
    def end(self) -> int:
        """Where its contents end in the stream."""
        return self.data + self.size


class Journal:
    """Entries, one line each, added before the file is.

    Parameters
    ----------
    path : Path
        The journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> list[Entry]:
        """Return what was written; a last line that was cut off is left out."""
        if not self._path.is_file():
            return []
        found = []
        for line in self._path.read_bytes().split(b"\n")[:-1]:
            try:
                name, data, size, head = json.loads(line)
                found.append(Entry(name, data, size, base64.b64decode(head)))
            except ValueError:
                break
        return found

    def rewrite(self, entries: list[Entry]) -> None:
        """Keep only `entries`."""
        partial = self._path.with_name(f"{self._path.name}.new")
        partial.write_bytes(b"".join(map(line_of, entries)))
        partial.replace(self._path)

    def add(self, entry: Entry) -> None:
        """Add an entry."""
        with self._path.open("ab") as file:
            file.write(line_of(entry))

    def remove(self) -> None:
        """Forget everything."""
        self._path.unlink(missing_ok=True)


def line_of(entry: Entry) -> bytes:
    """Return an entry as a line."""
    head = base64.b64encode(entry.head).decode()
    return json.dumps([entry.name, entry.data, entry.size, head]).encode() + b"\n"
