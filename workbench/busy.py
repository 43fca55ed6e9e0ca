"""What computes counts as use: a busy kernel, a program in a terminal, watched or not.

An extension of Jupyter's server, switched on by `workbench.start`. The portal stops servers that
nobody uses. It learns of use from what Jupyter tells it, which counts pages and messages, but no
computation that says nothing.
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from .here import setting

BUSY_H = "BUSY_H"
"""The setting that says for how many hours computing counts after the last use by a person."""
LOOK_MS = 30_000
OURS = "beamhub-busy"
"""Among the times that Jupyter's server takes its last activity from."""


class Watch:
    """Notes as use what computes, for so long after everything else that counts as use.

    Parameters
    ----------
    server : jupyter_server.serverapp.ServerApp
        The server.
    longest : timedelta
        The bound: who has forgotten a computation without end doesn't keep a machine for it.
    """

    def __init__(self, server: Any, longest: timedelta) -> None:
        self._server, self._longest = server, longest

    def look(self, now: datetime | None = None) -> None:
        """Look once."""
        now = now or datetime.now(UTC)
        app = self._server.web_app
        times: dict[str, datetime] = app.settings["last_activity_times"]
        noted = times.pop(OURS, None)
        if now - app.last_activity() < self._longest and self.computes():
            noted = now
        if noted is not None:
            times[OURS] = noted

    def computes(self) -> bool:
        """Return whether a kernel is busy, or something runs in a terminal."""
        kernels = self._server.kernel_manager.list_kernels()
        if any(kernel["execution_state"] == "busy" for kernel in kernels):
            return True
        terminals = self._server.web_app.settings.get("terminal_manager")
        shells = terminals.terminals.values() if terminals else ()
        return any(has_children(shell.ptyproc.pid) for shell in shells)


def has_children(pid: int) -> bool:
    """Return whether a process has started others that still run."""
    with suppress(OSError):
        return bool(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").strip())
    return False


def _load_jupyter_server_extension(server: Any) -> None:
    """Begin to watch, where the site lets computing count."""
    from tornado.ioloop import PeriodicCallback

    hours = float(setting(BUSY_H) or 0)
    if hours:
        PeriodicCallback(Watch(server, timedelta(hours=hours)).look, LOOK_MS).start()


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "workbench.busy"}]
