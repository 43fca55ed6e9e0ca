"""Work in chunks: each that is finished is kept, and skipped the next time."""

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .progress import Progress, suitable
from .workers import cause, on

if TYPE_CHECKING:
    from distributed import Client, Future

RECORD = "chunk.json"
Function = Callable[[Any, Path], Mapping[str, float] | None]


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
    function: Function,
    chunks: Mapping[str, Any],
    *,
    folder: Path | str,
    client: "Client | None" = None,
    sizes: Mapping[str, int] | None = None,
    unit: str = "chunks",
    show: Callable[[Progress], None] | None = None,
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
    work = Work(function, chunks, amounts, targets, progress, show or suitable())
    work.reuse()
    if work.left:
        with on(client) as used:
            work.compute(used)
    return work.batch


@dataclass
class Work:
    """What `run_chunks` goes through; all mappings are by the chunks' names.

    Parameters
    ----------
    function : callable
    items : mapping of str to object
        What the function is called with.
    amounts : mapping of str to int
        How many of the progress's unit a chunk has.
    targets : mapping of str to Path
        The folder of each chunk when it is finished.
    progress : Progress
    show : callable
        Called with the progress when it has changed.
    found : dict of str to Chunk
        What is finished.
    """

    function: Function
    items: Mapping[str, Any]
    amounts: Mapping[str, int]
    targets: Mapping[str, Path]
    progress: Progress
    show: Callable[[Progress], None]
    found: dict[str, Chunk] = field(default_factory=dict)

    @property
    def left(self) -> list[str]:
        """The chunks that are not finished."""
        return [name for name in self.items if name not in self.found]

    @property
    def batch(self) -> Batch:
        """How it went so far."""
        done = [self.found[name] for name in self.items if name in self.found]
        return Batch(done, dict(self.progress.failed), self.progress.elapsed_s)

    def reuse(self) -> None:
        """Take what earlier runs have finished."""
        for name, target in self.targets.items():
            if (target / RECORD).exists():
                self.keep(name, reused=True)
        self.show(self.progress)

    def compute(self, client: "Client") -> None:
        """Compute what is left, in any order."""
        self.progress.begin()
        futures = {
            client.submit(
                finish, self.function, self.items[name], self.targets[name], pure=False
            ): name
            for name in self.left
        }
        for future in each_finished(futures):
            name = futures[future]
            if future.status == "finished":
                self.keep(name, reused=False)
            else:
                self.progress.fail(name, self.amounts[name], cause(future))
            self.show(self.progress)

    def keep(self, name: str, *, reused: bool) -> None:
        """Add a finished chunk."""
        self.found[name] = read(name, self.targets[name], reused=reused)
        self.progress.add(self.amounts[name], self.found[name].counts, reused=reused)


def fingerprint(item: Any) -> str:
    """Return a short name for all that a chunk depends on."""
    text = json.dumps(item, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def finish(function: Function, item: Any, target: Path) -> None:
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
