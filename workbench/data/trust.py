"""Whose files may be used as they are, in a folder that many accounts share."""

import json
import os
import stat
from pathlib import Path

from .box import sha256_of

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
        if cache.exists():
            self._owners.add(cache.stat().st_uid)
        self._memory = memory

    def owner(self, path: Path) -> bool:
        """Return whether nobody but a trusted account can have written `path`."""
        about = path.lstat()
        only_owner = stat.S_ISLNK(about.st_mode) or not about.st_mode & WRITABLE_BY_OTHERS
        return about.st_uid in self._owners and only_owner

    def contents(self, path: Path, sha256: str) -> bool:
        """Return whether a file is what the manifest declares, by reading it at most once."""
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode):
            return False
        known = self._recall()
        mark = [about.st_ino, about.st_size, about.st_ctime_ns, sha256]
        if known.get(str(path)) == mark:
            return True
        if sha256_of(path) != sha256:
            return False
        known[str(path)] = mark
        self._memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self._memory.with_name(f"{self._memory.name}.{os.getpid()}")
        partial.write_text(json.dumps(known), encoding="utf-8")
        partial.replace(self._memory)
        return True

    def _recall(self) -> dict[str, list[object]]:
        try:
            found = json.loads(self._memory.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
