"""Parallel work on what the server really has: chunks that resume, and files as they arrive.

Built on dask.distributed, which is not among the workbench's own requirements: a use case that
computes in parallel pins it in its ``requirements.txt``.

Examples
--------
>>> from workbench import compute
>>> with compute.cluster() as client:  # doctest: +SKIP
...     batch = compute.run_chunks(index, chunks, folder=output, client=client, unit="frames")
...     for arrival in compute.watch(incoming, "*.h5", look, client=client):
...         plot(arrival.value)
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .data.display import in_a_notebook
from .here import here
from .words import time_text

if TYPE_CHECKING:
    from distributed import Client, Future

RECORD = "chunk.json"
LINES_EVERY_S = 15
SHOWN_FAILURES = 5
QUIET = {
    # Both serve pages to every account of the machine, and nothing here reads them.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # What is interrupted is meant to end: no page of traces about workers that did.
    "distributed.logging": {"distributed": "error"},
}
ANY_PORT = "127.0.0.1:0"


# ------------------------------------------------------------------------------- cluster


@contextmanager
def cluster(cores: int | None = None, memory_gib: float | None = None) -> Iterator["Client"]:
    """Start workers on the cores and memory that this server has, and end them afterwards.

    One process a core, each with one thread, all on this machine. They and the notebook talk on
    loopback, encrypted and with a certificate made for this cluster: other accounts of the machine
    can neither read along nor hand in work.

    Parameters
    ----------
    cores : int, optional
        Number of workers; None takes `Here.cores`: what affinity and control groups leave.
    memory_gib : float, optional
        Of all workers together; None takes what the launch granted, at most what control groups
        leave. A worker that uses more than its share is ended, and its chunk is told as failed.

    Yields
    ------
    distributed.Client
    """
    import dask
    from distributed import Client, LocalCluster
    from distributed.system import MEMORY_LIMIT

    place = here()
    workers = cores or place.cores
    granted = memory_gib or place.memory_gib
    bytes_each = int(min(granted * 2**30 if granted else MEMORY_LIMIT, MEMORY_LIMIT) / workers)
    with (
        dask.config.set(QUIET),
        tempfile.TemporaryDirectory(prefix="beamhub-compute-") as scratch,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=bytes_each,
            security=True,
            host="127.0.0.1",
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": ANY_PORT},
            local_directory=scratch,
        ) as local,
        Client(local) as client,
    ):
        yield client


def on(client: "Client | None") -> Any:
    """Return a context that yields `client`, or a cluster of its own where there is none."""
    return nullcontext(client) if client is not None else cluster()


# ------------------------------------------------------------------------------- chunks


@dataclass(frozen=True)
class Chunk:
    """A finished part of a batch.

    Parameters
    ----------
    name : str
    folder : Path
        What its function wrote.
    counts : dict of str to float
        What its function returned.
    seconds : float
        How long it took, when it was computed.
    reused : bool
        Whether an earlier run had finished it.
    """

    name: str
    folder: Path
    counts: dict[str, float]
    seconds: float
    reused: bool


@dataclass
class Batch:
    """How a batch went: `done`, in the order of the chunks, and `failed`, name to reason."""

    done: list[Chunk] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def counts(self) -> dict[str, float]:
        """The counts of all finished chunks, added up."""
        total: dict[str, float] = {}
        for chunk in self.done:
            for name, number in chunk.counts.items():
                total[name] = total.get(name, 0) + number
        return total


def run_chunks(
    function: Callable[[Any, Path], Mapping[str, float] | None],
    chunks: Mapping[str, Any],
    *,
    folder: Path | str,
    client: "Client | None" = None,
    sizes: Mapping[str, int] | None = None,
    unit: str = "chunks",
    show: Callable[["Progress"], None] | None = None,
) -> Batch:
    """Work through many chunks in parallel, keep each that is finished, and skip it next time.

    A chunk that fails takes no other with it. Interrupt it at any moment: what was finished stays.

    Parameters
    ----------
    function : callable
        Called as ``function(item, folder)`` in a worker, with an empty folder to write into. It may
        return numbers, such as ``{"indexed": 7}``, which are added up and shown.
    chunks : mapping of str to object
        Names, which become folders, and what the function is called with. This must be all that the
        result depends on, and JSON can write it: a changed item is another chunk.
    folder : Path
        Where finished chunks lie, on a disk that all workers see.
    client : distributed.Client, optional
        See `cluster`; None starts one for this call.
    sizes : mapping of str to int, optional
        How many of `unit` a chunk has; None means one each.
    unit : str
        What is counted: "frames".
    show : callable, optional
        Called with the `Progress` after each chunk; None shows a bar in a notebook, else lines.

    Returns
    -------
    Batch
        Look at its `failed`: nothing is raised for a chunk.
    """
    home = Path(folder).resolve()
    home.mkdir(parents=True, exist_ok=True)
    amounts = {name: (sizes or {}).get(name, 1) for name in chunks}
    targets = {name: home / f"{name}-{fingerprint(item)}" for name, item in chunks.items()}
    progress = Progress(unit, sum(amounts.values()))
    display = show or suitable()
    found: dict[str, Chunk] = {}
    for name, target in targets.items():
        if (target / RECORD).exists():
            found[name] = read(name, target, reused=True)
            progress.add(amounts[name], found[name].counts, reused=True)
    display(progress)
    left = [name for name in chunks if name not in found]
    if left:
        with on(client) as used:
            progress.begin()
            futures = {
                used.submit(finish, function, chunks[name], targets[name], pure=False): name
                for name in left
            }
            for future in each_finished(futures):
                name = futures[future]
                if future.status == "finished":
                    found[name] = read(name, targets[name], reused=False)
                    progress.add(amounts[name], found[name].counts)
                else:
                    progress.fail(name, amounts[name], cause(future))
                display(progress)
    done = [found[name] for name in chunks if name in found]
    return Batch(done, dict(progress.failed), progress.elapsed_s)


def fingerprint(item: Any) -> str:
    """Return a short name for all that a chunk depends on."""
    text = json.dumps(item, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def finish(
    function: Callable[[Any, Path], Mapping[str, float] | None], item: Any, target: Path
) -> None:
    """Compute one chunk; its folder has its name only once all is in it."""
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        began = time.monotonic()
        counts = dict(function(item, scratch) or {})
        record = {"counts": counts, "seconds": time.monotonic() - began}
        (scratch / RECORD).write_text(json.dumps(record), encoding="utf-8")
        if not (target / RECORD).exists():  # as it does where another run was faster
            shutil.rmtree(target, ignore_errors=True)
            scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def read(name: str, target: Path, *, reused: bool) -> Chunk:
    """Return a finished chunk from its folder."""
    record = json.loads((target / RECORD).read_text(encoding="utf-8"))
    return Chunk(name, target, record["counts"], record["seconds"], reused)


def each_finished(futures: Mapping["Future[Any]", Any]) -> Iterator["Future[Any]"]:
    """Yield futures as they end; whoever stops listening cancels the rest."""
    from distributed import as_completed

    try:
        yield from as_completed(list(futures))
    finally:
        for future in futures:
            if not future.done():
                future.cancel()


def cause(future: "Future[Any]") -> str:
    """Return why a future failed, in words."""
    error = future.exception()
    if type(error).__name__ == "KilledWorker":
        return "its process was ended again and again, most likely for lack of memory"
    return f"{type(error).__name__}: {error}" if error is not None else "it was cancelled"


# ------------------------------------------------------------------------------- progress


class Progress:
    """How far a batch is.

    Attributes
    ----------
    unit : str
    total, done : int
        In `unit`; what failed is not done.
    counts : dict of str to float
        What the finished chunks returned, added up.
    failed : dict of str to str
        Chunk and reason.
    """

    def __init__(self, unit: str, total: int) -> None:
        self.unit, self.total = unit, total
        self.done = self._fresh = self._lost = 0
        self.counts: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        self._began: float | None = None

    def begin(self) -> None:
        """Count the time from here: what was reused says nothing of the speed."""
        self._began = time.monotonic()

    def add(self, amount: int, counts: Mapping[str, float], *, reused: bool = False) -> None:
        """Add a finished chunk."""
        self.done += amount
        self._fresh += 0 if reused else amount
        for name, number in counts.items():
            self.counts[name] = self.counts.get(name, 0) + number

    def fail(self, name: str, amount: int, reason: str) -> None:
        """Add a chunk that failed."""
        self._lost += amount
        self.failed[name] = reason

    @property
    def elapsed_s(self) -> float:
        """Seconds since `begin`."""
        return time.monotonic() - self._began if self._began is not None else 0.0

    @property
    def rate(self) -> float:
        """What is done per second, without what was reused."""
        return self._fresh / self.elapsed_s if self._fresh else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds until the end at this rate, None while nobody knows."""
        left = self.total - self.done - self._lost
        if not left:
            return 0.0
        return left / self.rate if self.rate else None

    @property
    def over(self) -> bool:
        """Whether no chunk is left."""
        return self.done + self._lost == self.total

    def words(self) -> str:
        """Return the state as one line."""
        parts = [f"{self.done} of {self.total} {self.unit}"]
        parts += [f"{number:g} {name}" for name, number in self.counts.items()]
        if self.done > self._fresh:
            parts.append(f"{self.done - self._fresh} {self.unit} kept from before")
        if self.rate:
            parts.append(f"{self.rate:.2g} {self.unit} per s")
        if not self.over and self.left_s is not None:
            parts.append(f"{time_text(self.left_s)} left")
        if self.failed:
            parts.append(f"{len(self.failed)} chunks failed")
        return ", ".join(parts)

    def failures(self) -> list[str]:
        """Return the first failures, a line each."""
        lines = [f"{name}: {reason}" for name, reason in list(self.failed.items())[:SHOWN_FAILURES]]
        more = len(self.failed) - len(lines)
        return [*lines, f"and {more} more"] if more else lines


def suitable() -> Callable[[Progress], None]:
    """Return what shows progress in the place that this process runs in."""
    return Bar() if in_a_notebook() else Lines()


class Lines:
    """A line at the beginning, every quarter of a minute and at the end."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        """Print a line when it is time."""
        if progress.over or time.monotonic() >= self._next:
            self._next = time.monotonic() + LINES_EVERY_S
            print("\n  ".join([progress.words(), *progress.failures()]), flush=True)  # noqa: T201


class Bar:
    """A bar in a notebook, read by screen readers as a sentence."""

    def __init__(self) -> None:
        import ipywidgets
        from IPython.display import display

        self._words = ipywidgets.HTML()
        self._bar = ipywidgets.FloatProgress(min=0, max=1, layout={"width": "98%"})
        display(ipywidgets.VBox([self._words, self._bar], layout={"width": "100%"}))

    def __call__(self, progress: Progress) -> None:
        """Move the bar."""
        lines = [progress.words(), *progress.failures()]
        self._words.value = "<br>".join(map(escape, lines))
        self._bar.value = progress.done / max(1, progress.total)
        if progress.over:
            self._bar.layout.display = "none"


# ------------------------------------------------------------------------------- watching


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
    home = Path(folder).resolve()
    with on(client) as used:
        running: dict[Future[Any], Path] = {}
        taken: set[Path] = set()
        seen: dict[Path, tuple[tuple[int, int], float]] = {}
        last = time.monotonic()
        try:
            while running or time.monotonic() - last < idle_s:
                now = time.monotonic()
                for path in sorted(set(home.glob(pattern)) - taken):
                    if not path.is_file():
                        continue
                    last = now
                    if settled(path, seen, now, settled_s):
                        taken.add(path)
                        running[used.submit(process, path, pure=False)] = path
                for future in [future for future in running if future.done()]:
                    yield arrived(running.pop(future), future)
                time.sleep(every_s)
        finally:
            for future in running:
                future.cancel()


def settled(
    path: Path, seen: dict[Path, tuple[tuple[int, int], float]], now: float, settled_s: float
) -> bool:
    """Return whether a file has not changed for some time, remembering what it looked like."""
    try:
        about = os.stat(path)  # noqa: PTH116 - beside glob, one call and no more
    except FileNotFoundError:
        return False
    state = (about.st_size, about.st_mtime_ns)
    if seen.get(path, (None, 0.0))[0] != state:
        seen[path] = (state, now)
    return now - seen[path][1] >= settled_s


def arrived(path: Path, future: "Future[Any]") -> Arrival:
    """Return what came of a file."""
    if future.status == "finished":
        return Arrival(path, future.result())
    return Arrival(path, error=cause(future))
