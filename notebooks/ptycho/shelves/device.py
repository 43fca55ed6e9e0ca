"""Where engines compute. This is the one place that decides; engines are told."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from .scan import Scan

Wanted = Literal["auto", "cpu", "cuda"]


def choose(wanted: Wanted = "auto") -> str:
    """Return ``cuda`` or ``cpu``, as PyTorch names them: the GPU where there is one.

    Raises
    ------
    ValueError
        A GPU is wanted, and PyTorch sees none.
    """
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "the recipe wants a GPU (device: cuda), but PyTorch sees none here: start the use case "
            "with one, or write device: auto"
        )
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def words(device: str) -> str:
    """Return where that is, for a reader: the GPU with its memory, or how many cores."""
    import torch

    if device == "cuda":
        card = torch.cuda.get_device_properties(0)
        return f"the GPU, {card.name} with {card.total_memory / 2**30:.0f} GiB"
    count = cores()
    return f"the processor, {count} core{'s' if count > 1 else ''}"


def cores() -> int:
    """Return how many cores this server may use."""
    return len(os.sched_getaffinity(0))


def settle(scan: Scan) -> None:
    """Let frames too small to be shared among cores be computed on one, which is faster."""
    import torch

    torch.set_num_threads(1 if scan.edge <= 128 else cores())


@contextmanager
def room(scan: Scan, engine: str) -> Iterator[None]:
    """Say in a sentence that the memory of the GPU, or of the machine, is too small.

    Raises
    ------
    MemoryError
        What ran in this context asked for more than there is.
    """
    import torch

    size = f"{len(scan.frames)} frames of {scan.edge} x {scan.edge} pixels"
    try:
        yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise MemoryError(
            f"the GPU's memory is too small for {engine} with {size}: take a smaller 'batch', keep "
            "fewer frames or smaller ones ('thin', 'centre'), a GPU with more memory, or the "
            "processor (device: cpu)"
        ) from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "can't allocate memory" not in str(error):
            raise
        raise MemoryError(
            f"the memory of this server is too small for {engine} with {size}: keep fewer frames or "
            "smaller ones ('thin', 'centre'), or start a server with more"
        ) from error
