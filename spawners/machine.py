"""What the machine has that the portal runs on, and what of it nobody uses now."""

import os

import psutil

from .launch import Free


def free_here() -> Free:
    """Return what this machine has and what is free."""
    cores = len(os.sched_getaffinity(0))
    memory = psutil.virtual_memory()
    return Free(
        cores=cores,
        cores_free=max(0.0, cores - os.getloadavg()[0]),
        memory_gib=memory.total / 2**30,
        memory_free_gib=memory.available / 2**30,
    )
