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

from .arrivals import Arrival, watch
from .chunks import Batch, Chunk, fingerprint, run_chunks
from .progress import Progress
from .workers import cluster

__all__ = [
    "Arrival",
    "Batch",
    "Chunk",
    "Progress",
    "cluster",
    "fingerprint",
    "run_chunks",
    "watch",
]
