"""Whose files may be used as they are, in a folder that many accounts share."""

import json
import os
import stat
import time
from contextlib import suppress
from pathlib import Path

from ..hashing import sha256_of

SETTLED_S = 2
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class Trust:
    """Files of this account, of root and of the cache's owner are taken as they are.

    Those of others could have been changed by them, so that they are hashed once; that is
    remembered by what changes with every write (inode, size, time of change).

    Parameters
    ----------
    cache : Path
        The cache; its owner is trusted.
    memory : Path
        A private file for what has been hashed.
    """

    def __init__(self, cache: Path, memory: Path) -> None:
        self._owners = {os.geteuid(), 0}
        with suppress(OSError):
            self._owners.add(cache.stat().st_uid)
        self._memory = memory

    def owner(self, path: Path) -> bool:
        """Return whether nobody but a trusted account can have written `path`."""
        try:
            about = path.lstat()
        except OSError:
            return False
        only_owner = stat.S_ISLNK(about.st_mode) or not about.st_mode & WRITABLE_BY_OTHERS
        return about.st_uid in self._owners and only_owner

    def owns(self, folder: Path) -> bool:
        """Return whether a folder is a trusted account's; its owner can move what is in it."""
        try:
            return folder.lstat().st_uid in self._owners
        except OSError:
            return False

    def contents(self, path: Path, sha256: str) -> bool:
        """Return whether a file is what the manifest declares, by reading it at most once."""
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode):
            return False
        known = self._recall()
        mark = mark_of(about, sha256)
        if known.get(str(path)) == mark:
            return True
        if sha256_of(path) != sha256 or mark_of(path.lstat(), sha256) != mark:
            return False
        if time.time() - about.st_ctime < SETTLED_S:
            return True  # another write within the clock's tick would not be noticed later
        known[str(path)] = mark
        with suppress(OSError):  # without a memory, it is read again
            self._memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = self._memory.with_name(f"{self._memory.name}.{os.getpid()}")
            partial.write_text(json.dumps(known), encoding="utf-8")
            partial.replace(self._memory)
        return True

    def _recall(self) -> dict[str, list[object]]:
        try:
            found = json.loads(self._memory.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def mark_of(about: os.stat_result, sha256: str) -> list[object]:
    """Return what differs once a file has been written to."""
    return [about.st_ino, about.st_size, about.st_ctime_ns, sha256]
