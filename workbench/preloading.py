"""What servers have in common before they know whose they are, imported once and not by each.

A process that has imported it is copied for each server, see `spawners.forkserver`. What a module
takes from variables while it is imported is what it keeps: so nothing may be imported early that
takes anything that servers have of their own, but what `renew` takes again. What is read all the
same is noted, and a server with another value begins in a Python of its own.
"""

import gc
import os
import random
import site
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib import import_module, reload
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

MODULES = (
    "jupyter_server.serverapp",
    "jupyter_server.kernelspecs.handlers",
    "jupyter_server.nbconvert.handlers",
    "jupyter_server.services.api.handlers",
    "jupyter_server.services.config.handlers",
    "jupyter_server.services.contents.handlers",
    "jupyter_server.services.events.handlers",
    "jupyter_server.services.kernels.handlers",
    "jupyter_server.services.kernelspecs.handlers",
    "jupyter_server.services.nbconvert.handlers",
    "jupyter_server.services.security.handlers",
    "jupyter_server.services.sessions.handlers",
    "jupyter_server.services.shutdown",
    "jupyter_server.view.handlers",
    "jupyterlab.commands",
    "jupyterlab.handlers.announcements",
    "jupyterlab.handlers.build_handler",
    "jupyterlab.handlers.error_handler",
    "jupyterlab.handlers.extension_manager_handler",
    "jupyterlab.handlers.plugin_manager_handler",
    "jupyterlab_h5web.handlers",
    "jupyterlab_server",
    "jupyter_lsp.virtual_documents_shadow",
    "jupyter_resource_usage",
    "jupyter_server_terminals",
    "notebook_shim.nbserver",
    # Not `jupyterhub.singleuser` or JupyterLab's application: they take variables of a server's.
    "jupyterhub.metrics",
    "jupyterhub.orm",
    "cryptography.fernet",
    "jinja2.ext",
    "pydantic",
    "tornado.platform.asyncio",
    "unittest.mock",
    "workbench.apps",
    "workbench.busy",
    "workbench.ending",
    "workbench.front_door",
    "workbench.handed_socket",
    "workbench.kernel_sockets",
    "workbench.kernels",
    "workbench.proxy_connections",
    "workbench.start",
)
"""Those that aren't installed are left out."""
RENEWED = {
    # The folder of what is deleted, and whose it is.
    "HOME": {"send2trash.plat_other", "sysconfig", "zoneinfo._tzpath"},
    "XDG_DATA_HOME": {"send2trash.plat_other"},
    "getuid": {"send2trash.plat_other", "sysconfig", "zoneinfo._tzpath"},
    # Who says something to a kernel.
    "USER": {"jupyter_client.session"},
    # A program that tells of the processor.
    "PATH": {"h5py"},
    # Where processes of Python's own begin; which paths are shortened in tracebacks.
    "getcwd": {"multiprocessing.process", "rich"},
}
"""What modules take from the process that is copied, and which: known, and seen to by `renew`."""
RELOADED = {"send2trash.plat_other", "sysconfig"}
ASKED = ("getuid", "geteuid", "getgid", "getegid", "getcwd", "getcwdb")
"""Functions of ``os`` whose answer is another for each server."""
ALL = "wsgiref.handlers"
"""Keeps a copy of all variables, for web servers of another kind."""
BEFORE_PYTHON = ("PYTHON", "LD_", "MALLOC_", "GLIBC_", "OPENSSL_", "HDF5_", "LC_", "LANG")
"""Beginnings of the names of variables that libraries read themselves when they begin."""


KIND: Any = type(os.environ)


class Noting(KIND):
    """The variables of this process, which note who reads which of them."""

    reads: ClassVar[dict[str, set[str]]] = {}

    def __getitem__(self, key: Any) -> Any:
        self.reads.setdefault(os.fsdecode(key), set()).add(importing(sys._getframe(1)))
        return super().__getitem__(key)


def noting(name: str, reads: dict[str, set[str]]) -> Callable[[], Any]:
    """Return a function of ``os`` that notes who asks."""
    ask = getattr(os, name)

    def asked() -> Any:
        reads.setdefault(name, set()).add(importing(sys._getframe(1)))
        return ask()

    return asked


def importing(frame: FrameType | None) -> str:
    """Return which module is being imported where this is called."""
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            return str(frame.f_globals.get("__name__"))
        frame = frame.f_back
    return ""


class Preloaded:
    """What was imported, by which variables, and what chance was in it.

    Parameters
    ----------
    modules : iterable of str
        What to import.
    """

    def __init__(self, modules: Iterable[str] = MODULES) -> None:
        self.reads: dict[str, set[str]] = {}
        self.variables = dict(os.environ)
        Noting.reads = self.reads
        asked = {name: getattr(os, name) for name in ASKED}
        for name in ASKED:
            setattr(os, name, noting(name, self.reads))
        os.environ.__class__ = os.environb.__class__ = Noting
        try:
            for module in modules:
                load(module)
        finally:
            os.environ.__class__ = os.environb.__class__ = KIND
            for name, ask in asked.items():
                setattr(os, name, ask)
        self.generators = [
            found
            for found in gc.get_objects()
            if isinstance(found, random.Random) and not isinstance(found, random.SystemRandom)
        ]

    def odd(self, variables: Mapping[str, str]) -> list[str]:
        """Return what would have made another thing of the modules, had this server imported them.

        Parameters
        ----------
        variables : mapping of str to str
            The server's.
        """
        names = {name for name, who in self.reads.items() if who - RENEWED.get(name, set()) - {ALL}}
        asked = names.intersection(ASKED)
        names |= {n for n in {*variables, *self.variables} if n.startswith(BEFORE_PYTHON)}
        other = {n for n in names if variables.get(n) != self.variables.get(n)}
        return sorted(asked | other)

    def renew(self) -> list[str]:
        """Make this copy a process of its own; return arguments by which Jupyter learns the rest.

        Its variables, account and folder are those of the server already.
        """
        for generator in self.generators:
            generator.seed()
        if numbers := sys.modules.get("numpy.random"):
            numbers.seed()
        if processes := sys.modules.get("multiprocessing.process"):
            processes.current_process().authkey = os.urandom(32)
            vars(processes)["ORIGINAL_DIR"] = str(Path.cwd())
        tempfile.tempdir = None
        time.tzset()
        # What an environment runs at each start of its Python was left out for the one copied.
        site.main()
        for module in RELOADED & sys.modules.keys():
            reload(sys.modules[module])
        return [f"--Session.username={os.environ.get('USER', 'username')}"]


def load(module: str) -> None:
    """Import a module, unless it or something that it needs isn't installed."""
    with suppress(ModuleNotFoundError):
        import_module(module)
