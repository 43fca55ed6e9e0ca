"""Begin a user's server: put the tutorials in place, then become JupyterHub's single-user server.

Run as ``python -m workbench.start``, by the user's own account, on every backend.
"""

import os
import sys
from pathlib import Path

from .here import setting
from .tutorials import NOTEBOOKS_VARIABLE, own_folder, place


def main(arguments: list[str]) -> None:
    """Place the tutorials and replace this process by ``jupyterhub-singleuser``."""
    source = os.environ.get(NOTEBOOKS_VARIABLE)
    use_case = setting("USE_CASE")
    if source and use_case:
        place(Path(source), own_folder(use_case))
    # Tabs that were open come back in the use case they belong to, not in another's JupyterLab.
    workspaces = Path.home() / ".jupyter/lab/workspaces" / (use_case or "none")
    os.environ.setdefault("JUPYTERLAB_WORKSPACES_DIR", str(workspaces))
    command = str(Path(sys.executable).with_name("jupyterhub-singleuser"))
    fixed = [
        # Environments never change: what a user installs goes into their own.
        "--LabApp.extension_manager=readonly",
        # Kernels listen on loopback, where other accounts of the machine could read along.
        "--KernelManager.transport_encryption=required",
        # Addresses of the use case's programs with windows.
        "--ServerApp.jpserver_extensions=workbench.apps=True",
    ]
    os.execv(command, [command, *fixed, *arguments])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
