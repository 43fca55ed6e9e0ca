"""What an archive from outside may contain, and how large it may become."""

import tarfile
import unicodedata
import zipfile
from dataclasses import dataclass
from pathlib import PurePosixPath

from ...words import size_text
from ..errors import Refused

MOST_FILES = 100_000
MOST_RATIO = 200
ALWAYS_ALLOWED = 1 << 30
"""Bytes that may come out of an archive whatever its ratio: empty detector frames pack well."""
LONGEST_NAME = 255
LONGEST_PATH = 1024
UNIX_TYPE = 0o170000
LINK = 0o120000
FOLDER = 0o040000
DOS_FOLDER = 0x10
SOFT_HYPHEN = "\N{SOFT HYPHEN}"
REGULAR = (0, 0o100000)
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Others, Python decompresses without a bound on the memory that it takes."""


@dataclass
class Unpacking:
    """What has come out of one archive so far, for the limits.

    Parameters
    ----------
    archive : str
        Its name, for the sentences.
    """

    archive: str
    files: int = 0
    packed_bytes: int = 0
    unpacked_bytes: int = 0

    def __post_init__(self) -> None:
        self._names: set[str] = set()
        self._folders: set[str] = set()

    def name(self, name: str) -> str:
        """Return a member's name if a file may be made under it.

        A name that came before is the same file again, of which the last counts.

        Raises
        ------
        Refused
            It leads out of the folder, can't be a file's name, or is a folder's too.
        """
        clean = self.safe(name)
        if not clean:
            raise self.refusal(name, "which would lie outside the folder of the data")
        self._remember(clean)
        return clean

    def safe(self, name: str) -> str:
        """Return a name as it is below the folder of the data, empty for that folder itself.

        Backslashes are slashes, as Windows writes them. Bytes that aren't UTF-8 are Latin-1.
        """
        text = readable(name)
        path = PurePosixPath(text.replace("\\", "/"))
        parts = [p for p in path.parts if p != "."]
        if path.is_absolute() or ".." in parts or (parts and ":" in parts[0][1:2]):
            raise self.refusal(text, "which would lie outside the folder of the data")
        lengths = [len(p.encode("utf-8", "surrogateescape")) for p in parts]
        if max(lengths, default=0) > LONGEST_NAME or sum(lengths) + len(lengths) > LONGEST_PATH:
            raise self.refusal(text, "whose name is too long")
        if any(c != SOFT_HYPHEN and unicodedata.category(c)[0] == "C" for c in text):
            raise self.refusal(text, "whose name has characters that can't be printed")
        return "/".join(parts)

    def count(self) -> None:
        """Count one more file."""
        self.files += 1
        if self.files > MOST_FILES:
            raise Refused(f"{self.archive} holds more than {MOST_FILES} files. It is refused.")

    def _remember(self, name: str) -> None:
        self.count()
        folders = {str(p) for p in PurePosixPath(name).parents} - {"."}
        if name in self._folders or folders & self._names:
            raise self.refusal(name, "both as a file and as a folder")
        self._names.add(name)
        self._folders |= folders

    def grow(self, packed_bytes: int, unpacked_bytes: int) -> None:
        """Count what went in and came out.

        Raises
        ------
        Refused
            Far more comes out than data would: the archive is made to fill the disk.
        """
        self.packed_bytes += packed_bytes
        self.unpacked_bytes += unpacked_bytes
        if self.unpacked_bytes > max(ALWAYS_ALLOWED, MOST_RATIO * self.packed_bytes):
            raise Refused(
                f"{self.archive} unpacks to more than {MOST_RATIO} times its size "
                f"({size_text(self.unpacked_bytes)} so far), as a file made to fill a disk does. "
                "It is refused, and nothing of it is kept."
            )

    def refusal(self, name: str, what: str) -> Refused:
        """Return the refusal of an archive for one of its members."""
        shown = "".join(c if c.isprintable() else "?" for c in name[:80])
        return Refused(
            f"{self.archive} holds '{shown}', {what}. "
            "The archive is refused as a whole, and nothing of it is kept."
        )


def readable(name: str) -> str:
    """Return a name whose bytes aren't UTF-8 as the Latin-1 that they once were."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("latin-1")
    return name


def tar_file_name(member: tarfile.TarInfo, unpacking: Unpacking) -> str | None:
    """Return the name to unpack a member of a tar archive under, None where it is a folder.

    Raises
    ------
    Refused
        It is a device or another thing that isn't data.
    """
    if member.isdir():
        unpacking.safe(member.name)
        return None
    if not (member.isreg() or member.issym() or member.islnk()):
        raise unpacking.refusal(member.name, "which is not an ordinary file")
    if member.size < 0:
        raise unpacking.refusal(member.name, "whose size is negative")
    return unpacking.name(member.name)


def link_target(member: tarfile.TarInfo, name: str, unpacking: Unpacking) -> str:
    """Return what a link means, below the folder of the data.

    Raises
    ------
    Refused
        It leads out of that folder.
    """
    shown = f"a link to '{readable(member.linkname)[:80]}'"
    text = readable(member.linkname)
    parts = list(PurePosixPath(name).parent.parts) if member.issym() else []
    if len(text) > LONGEST_PATH or text.startswith("/") or any(c < " " for c in text):
        raise unpacking.refusal(name, shown)
    for part in PurePosixPath(text).parts:
        if part == ".." and not parts:
            raise unpacking.refusal(name, shown)
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def zip_file_name(member: zipfile.ZipInfo, unpacking: Unpacking) -> str | None:
    """Return the name to unpack a member of a zip archive under, None where it is a folder."""
    kind = member.external_attr >> 16 & UNIX_TYPE
    if kind == LINK:
        raise unpacking.refusal(member.filename, "a link")
    if member.is_dir() or kind == FOLDER or member.external_attr & DOS_FOLDER:
        unpacking.safe(member.filename.strip("/") if member.filename == "/" else member.filename)
        return None
    if kind not in REGULAR:
        raise unpacking.refusal(member.filename, "which is not an ordinary file")
    if member.flag_bits & 1:
        raise unpacking.refusal(member.filename, "which is encrypted")
    if member.compress_type not in ZIP_METHODS:
        raise unpacking.refusal(member.filename, "which is compressed in an unusual way")
    return unpacking.name(member.filename)
