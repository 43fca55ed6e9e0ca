"""Whose files may be used as they are, in a folder that many accounts share."""

import json
import os
import time
from contextlib import suppress
from pathlib import Path

from ..atomic_write import atomic_write
from ..hashing import sha256_of_descriptor

SETTLED_S = 2


class Trust:
    """Files of this account, of root and of the cache's owner are taken as they are.

    Root takes only its own.

    Those of others could have been changed by them, so that they are hashed once; that is
    remembered by what changes with every write (inode, size, time of change).

    Parameters
    ----------
    cache : Path
        The cache; its owner is trusted.
    memory : Path
        A private file for what has been hashed.

    Attributes
    ----------
    owners : list of int
        The accounts that are trusted, this one first.
    """

    def __init__(self, cache: Path, memory: Path) -> None:
        owners = [os.geteuid(), 0]
        with suppress(OSError):
            owners += [cache.stat().st_uid] if os.geteuid() else []
        self.owners = list(dict.fromkeys(owners))
        self._memory = memory

    def contents(self, descriptor: int, path: Path, sha256: str) -> bool:
        """Return whether an open file is what the manifest declares, by reading it at most once.

        Parameters
        ----------
        descriptor : int
            The file.
        path : Path
            Its name, by which it is remembered.
        sha256 : str
            What is declared.
        """
        about = os.fstat(descriptor)
        known = self._recall()
        mark = mark_of(about, sha256)
        if known.get(str(path)) == mark:
            return True
        right = sha256_of_descriptor(descriptor) == sha256
        if not right or mark_of(os.fstat(descriptor), sha256) != mark:
            return False
        if time.time() - about.st_ctime < SETTLED_S:
            return True  # another write within the clock's tick would not be noticed later
        known[str(path)] = mark
        with suppress(OSError):  # without a memory, it is read again
            self._memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            atomic_write(self._memory, json.dumps(known).encode())
        return True

    def _recall(self) -> dict[str, list[object]]:
        try:
            found = json.loads(self._memory.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def mark_of(about: os.stat_result, sha256: str) -> list[object]:
    """Return what differs once a file has been written to."""
    return [about.st_dev, about.st_ino, about.st_size, about.st_ctime_ns, sha256]
