"""Announcements: a Markdown file that an administrator edits while the portal runs."""

from pathlib import Path

from workbench.data.untrusted_files import read_ordinary

from .words import markdown

LARGEST = 100_000
"""Bytes; a larger file isn't an announcement, and isn't read."""


class Announcements:
    """The text of a file as HTML, read again whenever it changes.

    Parameters
    ----------
    path : Path or None
        The file; None, or one that isn't there, means that there is nothing to announce.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read_at = 0
        self._html = ""

    def __call__(self) -> str:
        """Return the present announcements as HTML, empty for none."""
        try:
            changed = self._path.stat().st_mtime_ns if self._path else 0
            if self._path and changed != self._read_at:
                self._html = markdown(read_ordinary(self._path, LARGEST).decode())
                self._read_at = changed
        except (OSError, UnicodeDecodeError):
            self._html, self._read_at = "", 0
        return self._html
