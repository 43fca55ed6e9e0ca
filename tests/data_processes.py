"""Processes that fetch, wait, hold or die in tests; forked from one that has imported everything.

``with Processes() as processes: processes.start(fetch_in, known, places).result()``
"""

import fcntl
import importlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def until(true: Callable[[], Any], seconds: float = 60) -> Any:
    """Return what `true` returns once that is true."""
    ends = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < ends, "it has taken too long"
        time.sleep(0.005)
    return found


def unused_for(path: Path, days: float) -> None:
    """Once nobody holds the lock of a file of a cache's `used`, make it as old as that."""
    with path.open("ab") as file:

        def free() -> bool:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            return False

        until(free)
        os.utime(path, (time.time() - days * 86400,) * 2)


@contextmanager
def folder_for_all(*accounts: int) -> Iterator[Path]:
    """A folder that every account can reach, with a cache for everybody and a home for each."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="beamhub-site-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "cache").mkdir()
        (folder / "cache").chmod(0o1777)
        for account in accounts:
            (folder / f"home{account}").mkdir()
            os.chown(folder / f"home{account}", account, account)
        yield folder
        # Python's own removal ends at folders in folders without end.
        subprocess.run(["rm", "-rf", folder / "cache"], check=True)


class Child:
    def __init__(self, pid: int, answer: Path) -> None:
        self.pid, self._answer = pid, answer

    def result(self, seconds: float = 60) -> Any:
        """Return what the function returned, or raise what it raised."""
        until(lambda: self._answer.exists() or not self.alive, seconds)
        assert self._answer.exists(), "the process has died"
        found = pickle.loads(self._answer.read_bytes())
        if isinstance(found, BaseException):
            raise found
        return found

    @property
    def alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        until(lambda: not self.alive)


class Processes:
    """Forks on request; whatever still lives is killed at the end."""

    def __enter__(self) -> "Processes":
        self._folder = tempfile.TemporaryDirectory(dir="/tmp", prefix="beamhub-processes-")
        Path(self._folder.name).chmod(0o1777)
        self._parent = subprocess.Popen(
            [sys.executable, "-c", "from tests.data_processes import main; main()"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._children: list[Child] = []
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.kill()
        self._parent.stdin.close()
        self._parent.wait(20)
        self._parent.stdout.close()
        self._folder.cleanup()

    def start(self, function: Callable[..., Any], *args: Any, account: int = 0) -> Child:
        """Call a function of this module in a process of its own, perhaps as another account."""
        answer = Path(self._folder.name) / f"{len(self._children)}"
        task = pickle.dumps((function.__name__, args, account, str(answer)))
        self._parent.stdin.write(task.hex().encode() + b"\n")
        self._parent.stdin.flush()
        child = Child(int(self._parent.stdout.readline()), answer)
        self._children.append(child)
        return child


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for name in ("encodings.idna", "lzma", "tarfile", "urllib3.connectionpool", "workbench.data"):
        importlib.import_module(name)
    for module in ("transfer.unpack", "cache", "fetch_job", "progress", "upkeep"):
        importlib.import_module(f"workbench.data.{module}")
    for line in sys.stdin.buffer:
        pid = os.fork()
        if not pid:
            become(*pickle.loads(bytes.fromhex(line.decode())))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def become(name: str, args: tuple[Any, ...], account: int, answer: str) -> None:
    """Do what a child is for, and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if account:
        os.setgroups([])
        os.setgid(account)
        os.setuid(account)
    try:
        found = globals()[name](*args)
    except BaseException as problem:  # noqa: BLE001 - for `result` to raise
        found = problem
    partial = Path(f"{answer}.partial")
    partial.write_bytes(pickle.dumps(found))
    partial.rename(answer)
    os._exit(0)


# What children do.


def fetch_in(known: Any, places: Any, memory: Path, gate: Path | None = None) -> dict[str, Any]:
    """Fetch a data set, once `gate` exists; return where it lies and what its progress was."""
    from workbench.data.cache import Cache
    from workbench.data.fetch_job import Fetch
    from workbench.data.progress import Progress

    progress = Progress(known.label, known.size_bytes)
    cache = Cache(places.cache, memory)
    work = Fetch(known, places, cache, unverified=False, progress=progress)
    seen: list[tuple[int, str]] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            seen.append((progress.state.done_bytes, progress.state.source))

    if gate is not None:
        until(gate.exists)
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        entry = work.run()
    finally:
        over.set()
        thread.join()
    files = {f.name: (entry.folder / f.name).stat() for f in entry.record.files}
    return {
        "folder": entry.folder,
        "inodes": {name: about.st_ino for name, about in files.items()},
        "modes": {about.st_mode & 0o777 for about in files.values()},
        "seen": seen,
        "received": progress.received,
    }


def use_until(root: Path, memory: Path, known: Any, gate: Path) -> None:
    """Use a data set until `gate` exists; `gate` with ``.ready`` says when it has begun."""
    from workbench.data.cache import Cache

    use = Cache(root, memory).use(known)
    Path(f"{gate}.ready").touch()
    until(gate.exists)
    use.close()


def hold(path: Path, told: dict[str, Any], gate: Path) -> bool:
    """Hold a lease until `gate` exists."""
    from workbench.data.lease import Lease

    lease = Lease(path)
    lease.tell(lambda: told)
    if not lease.take():
        return False
    Path(f"{gate}.ready").touch()
    until(gate.exists)
    lease.release()
    return True


def find_in(known: Any, root: Path, memory: Path) -> tuple[Path | None, int]:
    """Return the folder of a data set that this account may use, and how many files it read."""
    from workbench.data import trust
    from workbench.data.cache import Cache

    read = []
    real = trust.sha256_of_descriptor

    def counted(descriptor: int) -> str:
        read.append(descriptor)
        return real(descriptor)

    trust.sha256_of_descriptor = counted
    entry = Cache(root, memory).find(known)
    return (entry.folder if entry else None), len(read)


def remove_in(root: Path, memory: Path) -> list[bool]:
    """Try to remove every data set."""
    from workbench.data.cache import Cache

    cache = Cache(root, memory)
    return [cache.remove(stored) for stored in cache.stored()]


def swap(inside: Path, trap: Path, seconds: float) -> int:
    """Put a link to `trap` into the place of a folder of one's own, again and again."""
    aside, link = inside.with_name("aside"), inside.with_name("link")
    link.symlink_to(trap)
    ends, count = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        count += 1
        with suppress(OSError):
            inside.rename(aside)
        with suppress(OSError):
            link.rename(inside)
        with suppress(OSError):
            inside.rename(link)
        with suppress(OSError):
            aside.rename(inside)
    return count


def look_around(known: Any, places: Any, memory: Path, seconds: float = 0) -> dict[str, Any]:
    """Do all that root does in a cache, and return what it saw and how much memory that took."""
    import resource

    from workbench.data.availability import offer
    from workbench.data.cache import Cache
    from workbench.data.upkeep import verify

    ends, turns = time.monotonic() + seconds, 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while not turns or time.monotonic() < ends:
        turns += 1
        cache = Cache(places.cache, memory)
        where = offer(known, places, cache).where
        entries, stored, sizes = cache.entries(), cache.stored(), cache.sizes()
        problems = [f.problem for f in verify(places=places) if f.problem]
        cache.make_room(1, 10**12)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "where": where,
        "entries": len(entries),
        "stored": [(s.account, s.label) for s in stored],
        "sizes": sizes,
        "problems": problems,
        "grown_kb": grown,
        "turns": turns,
    }


def prune_all(root: Path, memory: Path, account: int, seconds: float = 0) -> list[bool]:
    """Remove every data set of an account, whoever uses it, again and again."""
    from workbench.data.cache import Cache

    ends, found = time.monotonic() + seconds, []
    while not found or time.monotonic() < ends:
        cache = Cache(root, memory)
        theirs = [stored for stored in cache.stored() if stored.account == account]
        found += [cache.remove(stored, used_by=()) for stored in theirs] or [False]
    return found


def call(module: str, name: str, *args: Any) -> Any:
    """Call any function, by its name."""
    return getattr(importlib.import_module(module), name)(*args)


def dying_fetch(
    known: Any, places: Any, memory: Path, moment: str, step: str, after: int
) -> dict[str, Any]:
    """Fetch, and be killed before or after a step is taken for the `after`th time."""
    from workbench.data import cache
    from workbench.data.transfer import staging

    place, name = {
        "place": (staging.Staging, "_place"),
        "write": (staging.Staging, "_write"),
        "finish": (staging.Staging, "finish"),
        "publish": (cache.Cache, "publish"),
        "tidy up": (cache, "remove_own"),
    }[step]
    real, calls = getattr(place, name), count(1)

    def dying(*args: Any, **options: Any) -> Any:
        call = next(calls)
        if call == after and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        found = real(*args, **options)
        if call == after:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(place, name, dying)
    return fetch_in(known, places, memory)
