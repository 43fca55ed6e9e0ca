"""Files, worked on as they arrive."""

import os
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .workers import cause, on

if TYPE_CHECKING:
    from distributed import Client, Future


@dataclass(frozen=True)
class Arrival:
    """A file that arrived and was worked on.

    Parameters
    ----------
    path : Path
    value : object
        What the function returned, None where it failed.
    error : str or None
        Why it failed, None where it didn't.
    """

    path: Path
    value: Any = None
    error: str | None = None


def watch(
    folder: Path | str,
    pattern: str,
    process: Callable[[Path], Any],
    *,
    client: "Client | None" = None,
    idle_s: float = 60.0,
    settled_s: float = 1.0,
    every_s: float = 0.2,
) -> Generator[Arrival, None, None]:
    """Work on files as they arrive in a folder, and yield what comes out as it comes.

    Files that are there already count as arrived. The folder is read again and again, for network
    file systems tell nobody that a file was written elsewhere.

    Parameters
    ----------
    folder : Path
        Where files arrive; need not exist yet.
    pattern : str
        Their names, such as ``*.h5``.
    process : callable
        Called in a worker with the path of each file, once.
    client : distributed.Client, optional
        See `cluster`; None starts one for this call.
    idle_s : float
        End when nothing new has arrived for so long and nothing is being worked on.
    settled_s : float
        Take a file when neither its size nor its time has changed for so long: a program may still
        be writing it. 0 is right where files are renamed into place.
    every_s : float
        How often to look.

    Yields
    ------
    Arrival
        One a file, in the order in which they are finished.
    """
    inbox = Inbox(Path(folder).resolve(), pattern, settled_s)
    with on(client) as used:
        running: dict[Future[Any], Path] = {}
        last = time.monotonic()
        try:
            while running or time.monotonic() - last < idle_s:
                waiting = inbox.waiting()
                last = time.monotonic() if waiting else last
                for path in filter(inbox.settled, waiting):
                    inbox.taken.add(path)
                    running[used.submit(process, path, pure=False)] = path
                for future in [future for future in running if future.done()]:
                    yield arrived(running.pop(future), future)
                time.sleep(every_s)
        finally:
            for future in running:
                future.cancel()


class Inbox:
    """A folder into which files are written.

    Parameters
    ----------
    home : Path
    pattern : str
        Names of the files that count.
    settled_s : float
        How long a file must not have changed.

    Attributes
    ----------
    taken : set of Path
        Files that somebody has taken out; they don't wait any more.
    """

    def __init__(self, home: Path, pattern: str, settled_s: float) -> None:
        self.home, self.pattern, self.settled_s = home, pattern, settled_s
        self.taken: set[Path] = set()
        self._seen: dict[Path, tuple[tuple[int, int], float]] = {}

    def waiting(self) -> list[Path]:
        """Return the files that nobody has taken, by name."""
        there = sorted(set(self.home.glob(self.pattern)) - self.taken)
        return [path for path in there if path.is_file()]

    def settled(self, path: Path) -> bool:
        """Look at a file, and return whether it has stayed as it is for long enough."""
        try:
            about = os.stat(path)  # noqa: PTH116 - beside glob, one call and no more
        except FileNotFoundError:
            return False
        now, state = time.monotonic(), (about.st_size, about.st_mtime_ns)
        if self._seen.get(path, (None, 0.0))[0] != state:
            self._seen[path] = (state, now)
        return now - self._seen[path][1] >= self.settled_s


def arrived(path: Path, future: "Future[Any]") -> Arrival:
    """Return what came of a file."""
    if future.status == "finished":
        return Arrival(path, future.result())
    return Arrival(path, error=cause(future))
