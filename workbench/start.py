"""Begin a user's server: put the tutorials in place, then become JupyterHub's single-user server.

Run as ``python -m workbench.start``, by the user's own account, on every backend.
"""

import os
import re
import sys
from pathlib import Path
from runpy import run_path
from typing import TYPE_CHECKING, NoReturn

from . import kernel_sockets, kernels
from .here import setting
from .home import CANNOT_START, is_safe_start, obstacle, own_places
from .tutorials import NOTEBOOKS_VARIABLE, own_folder, place

if TYPE_CHECKING:
    from .preloading import Preloaded

NAMES = Path("/var/lib/extrausers")
"""Where images look for names of accounts that they can't know; `libnss-extrausers` reads it."""
LAB_EXTENSIONS = Path(__file__).with_name("labextensions")


def main(arguments: list[str]) -> None:
    """Place the tutorials and replace this process by ``jupyterhub-singleuser``."""
    become(prepared(arguments))


def main_preloaded(arguments: list[str], preloaded: "Preloaded") -> None:
    """Place the tutorials and be a server in this process, which is a copy of one.

    Parameters
    ----------
    arguments : list of str
        Of the server.
    preloaded : Preloaded
        What was imported before it was copied. Where this server's variables would have made
        something else of it, it begins in a Python of its own.
    """
    command = prepared(arguments)
    if odd := preloaded.odd(os.environ):
        sys.stderr.write(f"This server begins in a Python of its own: {', '.join(odd)}\n")
        become(command)
    own = preloaded.renew()
    program, *rest = command
    sys.argv = [program, *own, *rest]
    run_path(program, run_name="__main__")


def become(command: list[str]) -> NoReturn:
    """Replace this process by ``jupyterhub-singleuser``."""
    os.execv(command[0], command)  # noqa: S606


def prepared(arguments: list[str]) -> list[str]:
    """Place the tutorials, set the variables of the server, and return what it is begun by."""
    name_account(NAMES)
    use_case = setting("USE_CASE")
    if problem := obstacle(Path.home(), use_case):
        sys.exit(CANNOT_START + " ".join(problem.split()))
    os.chdir(Path.home())
    os.environ[kernel_sockets.VARIABLE] = kernel_sockets.make_folder()
    os.environ[kernels.VARIABLE] = kernels.environment_first()
    os.environ["PATH"] = with_programs(os.environ.get("PATH", os.defpath))
    own = begin_safely() if is_safe_start() else begin(use_case)
    command = str(Path(sys.executable).with_name("jupyterhub-singleuser"))
    fixed = [
        # Environments never change: what a user installs goes into their own.
        "--LabApp.extension_manager=readonly",
        # By default kernels listen on loopback, where other accounts of the machine could read
        # along, and take the ports that were found for a kernel before it does.
        "--KernelManager.transport=ipc",
        # Jupyter's own choice is a log-in shell, whose profile sets another PATH than notebooks
        # have: without the use case's environment, and without the programs opened for its user.
        f"--ServerApp.terminado_settings=shell_command=['{shell()}']",
        # Addresses of the use case's programs with windows.
        "--ServerApp.jpserver_extensions=workbench.apps=True",
        # The user's folder of it, to take home.
        "--ServerApp.jpserver_extensions=workbench.folder=True",
        # Where it listens, if the portal says so, and who ends connections there; what its kernels
        # have listened at goes with it.
        "--ServerApp.jpserver_extensions=workbench.handed_socket=True",
        "--ServerApp.jpserver_extensions=workbench.proxy_connections=True",
        "--ServerApp.jpserver_extensions=workbench.kernel_sockets=True",
        # Where it begins is told to those only who may use it.
        "--ServerApp.jpserver_extensions=workbench.front_door=True",
        # What a kernel of the user's own lacks to start, in words.
        "--ServerApp.jpserver_extensions=workbench.kernels=True",
        # What computes without a word is use too.
        "--ServerApp.jpserver_extensions=workbench.busy=True",
        # What JupyterLab shows of the server's time, and lets it save at the end.
        "--ServerApp.jpserver_extensions=workbench.ending=True",
        f"--LabApp.extra_labextensions_path={LAB_EXTENSIONS}",
    ]
    return [command, *fixed, *own, *arguments]


def begin(use_case: str) -> list[str]:
    """Place the tutorials, and return the arguments of a server with its user's own settings."""
    source = os.environ.get(NOTEBOOKS_VARIABLE)
    if source and use_case:
        place(Path(source), own_folder(use_case))
    # Tabs that were open come back in the use case they belong to, not in another's JupyterLab.
    workspaces = Path.home() / ".jupyter/lab/workspaces" / (use_case or "none")
    os.environ.setdefault("JUPYTERLAB_WORKSPACES_DIR", str(workspaces))
    return []


def begin_safely() -> list[str]:
    """Let nothing of the home be read or written, and return the arguments of such a server.

    What is deleted goes at once: a trash can takes room on a disk that may be full.
    """
    os.environ.update(own_places(f"{os.environ[kernel_sockets.VARIABLE]}/safe"))
    return ["--FileContentsManager.delete_to_trash=False"]


def name_account(folder: Path) -> None:
    """Tell programs what this process's account is called, where the image knows only others.

    Parameters
    ----------
    folder : Path
        Where names are looked for; nothing is told where it isn't there for us to write.
    """
    name, uid, gid = os.environ.get("USER", ""), os.getuid(), os.getgid()
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name) or not os.access(folder, os.W_OK):
        return
    (folder / "passwd").write_text(f"{name}:x:{uid}:{gid}::{Path.home()}:{shell()}\n")
    (folder / "group").write_text(f"{name}:x:{gid}:\n")


def shell() -> str:
    """Return what terminals run."""
    return os.environ.get("SHELL") or "/bin/sh"


def with_programs(path: str) -> str:
    """Return the PATH with the folders that the portal has opened for this user, which come last.

    Nothing in them can take the place of what the image or the environment has.
    """
    return os.pathsep.join(filter(None, [path, setting("PATHS")]))


if __name__ == "__main__":
    main(sys.argv[1:])
