"""Which kernels come first, and why one of a user's own can't start.

An extension of Jupyter's server, switched on by `workbench.start`.
"""

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

VARIABLE = "JUPYTER_PATH"
"""Where Jupyter looks first, before any home."""


def environment_first() -> str:
    """Return where to look for kernels: first in the environment that this Python belongs to.

    By default Jupyter prefers a home's own to an environment that belongs to somebody else, and
    every `ipykernel install --user` leaves one there that is called like the use case's.
    """
    own = str(Path(sys.prefix) / "share/jupyter")
    others = [path for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]
    return os.pathsep.join(dict.fromkeys([own, *others]))


def why_not(name: str, error: OSError) -> str:
    """Return why a kernel's program can't be started, and what to do about it."""
    return (
        f"The kernel '{name}' can't start: {error.filename or 'its program'}: {error.strerror}. "
        "It is none of this use case's, but one that was installed into your home. Choose another "
        f"with Kernel > Change Kernel; 'jupyter kernelspec remove {name}' in a terminal removes it."
    )


def told(start: Callable[..., Awaitable[str]]) -> Callable[..., Awaitable[str]]:
    """Return a function that starts kernels as `start` does, and says in words why not."""
    from tornado.web import HTTPError

    async def start_or_say(*arguments: Any, kernel_name: str | None = None, **more: Any) -> str:
        try:
            return await start(*arguments, kernel_name=kernel_name, **more)
        except (FileNotFoundError, PermissionError) as error:
            raise HTTPError(409, why_not(kernel_name or "python3", error)) from error

    return start_or_say


def _load_jupyter_server_extension(server: Any) -> None:
    """Say why a kernel doesn't start, where Jupyter shows an 'Unhandled error'."""
    server.kernel_manager.start_kernel = told(server.kernel_manager.start_kernel)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "workbench.kernels"}]
