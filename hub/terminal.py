"""Keep the terminal for people: what programs have to say goes to the log."""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

LOG_LARGEST_BYTES = 20_000_000


class Terminal:
    """Where the person sits who started the portal.

    Parameters
    ----------
    stream : TextIO
        What is written there is seen.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._log: Path | None = None

    def say(self, text: str) -> None:
        """Print a line; without whoever read them, the portal goes on and ends as ever."""
        with suppress(BrokenPipeError):
            self.stream.write(text + "\n")
            self.stream.flush()

    def divert(self, log: Path) -> None:
        """Send everything else of this process and its children into a file from now on."""
        self._log = log
        self.shorten()
        sys.stdout.flush()
        sys.stderr.flush()
        self.stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, sys.stdout.fileno())
        os.dup2(file, sys.stderr.fileno())
        os.close(file)

    def shorten(self) -> None:
        """Begin the log anew where it has become large: everybody on the web adds lines to it.

        The proxy and other children write into the same file, at its end wherever that is. So it's
        copied and emptied; what is written meanwhile is lost.
        """
        log = self._log
        if log is None or not log.exists() or log.stat().st_size <= LOG_LARGEST_BYTES:
            return
        older, oldest = (log.with_suffix(f".log.{number}") for number in (1, 2))
        try:
            if older.exists():
                older.replace(oldest)
            older.touch(mode=0o600)
            shutil.copyfile(log, older)
        finally:
            os.truncate(log, 0)


terminal = Terminal(sys.stdout)
"""The one that this process was started from."""
