"""The checksums of one stream, and whether they are those that are declared."""

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

from ...manifest import DataFile
from ..errors import WrongContents


class Digest(Protocol):
    """What hashlib offers, and what else may stand for it."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the digest of what was added."""


@dataclass
class Sums:
    """The checksums of one stream, computed beside the thread that brings it."""

    sha256: Digest = field(default_factory=hashlib.sha256)
    md5: Digest | None = None

    def update(self, data: bytes | memoryview) -> None:
        """Add bytes."""
        self.sha256.update(data)
        if self.md5 is not None:
            self.md5.update(data)


def sums_for(file: DataFile) -> Sums:
    """Return the checksums that the manifest's declaration of a file needs."""
    only_md5 = file.sha256 == "unknown" and file.md5
    md5 = hashlib.md5(usedforsecurity=False) if only_md5 else None
    return Sums(md5=md5)


def verify(file: DataFile, sums: Sums) -> None:
    """Compare what arrived with what is declared.

    Raises
    ------
    WrongContents
        They differ.
    """
    got, declared = sums.sha256.hexdigest(), file.sha256
    word = "SHA-256"
    if declared == "unknown":
        if sums.md5 is None:
            return
        got, declared, word = sums.md5.hexdigest(), file.md5 or "", "MD5"
    if got != declared:
        raise WrongContents(
            f"{file.name} arrived with the {word} {got[:16]}…, and the manifest declares "
            f"{declared[:16]}…: the publisher has changed it, or it was damaged on the way. "
            "It has been thrown away."
        )
