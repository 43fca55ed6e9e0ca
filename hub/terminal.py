"""Keep the terminal for people: what programs have to say goes to the log."""

import os
import sys
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

    def say(self, text: str) -> None:
        """Print a line."""
        self.stream.write(text + "\n")
        self.stream.flush()

    def divert(self, log: Path) -> None:
        """Send everything else of this process and its children into a file from now on."""
        if log.exists() and log.stat().st_size > LOG_LARGEST_BYTES:
            log.replace(log.with_suffix(".log.1"))
        sys.stdout.flush()
        sys.stderr.flush()
        self.stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, sys.stdout.fileno())
        os.dup2(file, sys.stderr.fileno())
        os.close(file)


terminal = Terminal(sys.stdout)
"""The one that this process was started from."""
