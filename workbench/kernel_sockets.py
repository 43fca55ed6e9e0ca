"""A private folder for the Unix sockets of a server's kernels.

Any account of a machine can connect to its ports of loopback, and take them. Only a kernel's owner
can enter this folder.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

PLACE = "/tmp"  # noqa: S108 - what is made there has a random name and lets its owner in only
"""Not TMPDIR or the home: a socket's path has at most 107 characters."""
VARIABLE = "JUPYTER_RUNTIME_DIR"


def make_folder() -> str:
    """Return a new folder for this process, which nobody else may enter."""
    return tempfile.mkdtemp(prefix=prefix(), dir=PLACE)


def prefix() -> str:
    """Return how the name of this process's folder begins."""
    return f"beamhub-kernels-{os.getpid()}-"


def _load_jupyter_server_extension(server: object) -> None:
    """Remove the folder when this server ends in order."""
    del server
    folder = Path(os.environ.get(VARIABLE, ""))
    if str(folder.parent) == PLACE and folder.name.startswith(prefix()):
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "workbench.kernel_sockets"}]
