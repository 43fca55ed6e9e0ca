"""Notice the end of a process when it comes, instead of asking now and then."""

import asyncio
import os


async def end_of(pid: int) -> None:
    """Wait until a process has ended, whoever's child it is.

    Parameters
    ----------
    pid : int
        Its number. Where nobody has it the process has ended already.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
