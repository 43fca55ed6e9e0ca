"""Workers on the cores and memory that the server has."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from ..here import here

if TYPE_CHECKING:
    from distributed import Client, Future

SETTINGS = {
    # Both serve pages to every account of the machine, and nothing here reads them.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # Workers set up their log when they import Dask, before they get these settings.
    "distributed.nanny.pre-spawn-environ.DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical",
}
ANY_PORT = "127.0.0.1:0"


@contextmanager
def silent() -> Iterator[None]:
    """Keep Dask's log out of the notebook: futures tell what a reader has to know."""
    # The second has a level of its own. Settings of Dask's count only before its import.
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


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
        dask.config.set(SETTINGS),
        silent(),
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


def cause(future: "Future[Any]") -> str:
    """Return why a future failed, in words."""
    error = future.exception()
    if type(error).__name__ == "KilledWorker":
        return "its process was ended again and again, most likely for lack of memory"
    return f"{type(error).__name__}: {error}" if error is not None else "it was cancelled"
