"""Answer what the hub asks for, with root's rights; run as ``python -I -m spawners.rights.helper``.

One thing after another: the hub's loop waits for none of it. Only what can take long, the end of a
server, is left to a process of its own.
"""

import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from .. import confinement
from ..system_accounts import AccountError
from . import wire
from .parts import Parts
from .requests import (
    Begin,
    Finish,
    HaveAccount,
    Present,
    RefusedError,
    Request,
    Signal,
    Start,
    Status,
    parsed,
)
from .servers import Servers
from .settings import Settings

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a portal: told to its hub, which ends in order."""
REAP_MS = 200
"""How long what has answered for this process may be left behind."""
LATER = object()
"""Stands for what another process answers."""


class Helper:
    """The helper of one portal.

    Parameters
    ----------
    settings : Settings
        What root says of it.
    hub : socket.socket
        What the hub asks by.
    """

    def __init__(self, settings: Settings, hub: socket.socket) -> None:
        self.settings = settings
        self.hub = hub
        self.servers = Servers(settings)
        self.parts = Parts(settings)
        self.workers: set[int] = set()

    def serve(self) -> int:
        """Answer until the hub has ended, and return its exit status."""
        process = os.pidfd_open(self.settings.hub)
        waiting = select.poll()
        waiting.register(process, select.POLLIN)
        waiting.register(self.hub, select.POLLIN)
        while True:
            ready = {file for file, _ in waiting.poll(REAP_MS if self.workers else None)}
            self.reap()
            if self.hub.fileno() in ready and not self.take_one():
                waiting.unregister(self.hub)
            if process in ready:
                return os.waitpid(self.settings.hub, 0)[1]

    def reap(self) -> None:
        """Let go of processes that have done their work."""
        for worker in list(self.workers):
            if os.waitpid(worker, os.WNOHANG)[0]:
                self.workers.discard(worker)

    def take_one(self) -> bool:
        """Answer one message; return whether there can be more."""
        try:
            taken = wire.receive(self.hub)
        except wire.WireError as error:
            say(str(error))
            return True
        except OSError:
            return False
        if taken is None:
            return False
        message, files = taken
        try:
            self.answer(message, files)
        finally:
            wire.close(files)
        return True

    def answer(self, message: Any, files: Sequence[int]) -> None:
        """Do what a message asks for, and say what came of it."""
        number = message.get("id") if isinstance(message, dict) else None
        reply = outcome(lambda: self.done(parsed(message, len(files)), files, number))
        if reply.get("done") is not LATER:
            self.reply(number, reply)

    def done(self, request: Request, files: Sequence[int], number: object) -> Any:
        """Do what is asked for, and return what came of it, or that this is told later."""
        if isinstance(request, Finish):
            running = self.servers.forgotten(request)
            return self.apart(number, lambda: self.servers.finish(request.name, running))
        if isinstance(request, HaveAccount):
            # It takes a second to make one, and a file system on which it has something may hang.
            return self.apart(number, lambda: self.servers.have_account(request))
        if isinstance(request, Start):
            return self.servers.start(request, files)
        if isinstance(request, Begin):
            return self.parts.begin(request, files)
        if isinstance(request, Present):
            return self.servers.present()
        if isinstance(request, Signal):
            return self.whose(request.name).signal(request)
        if isinstance(request, Status):
            return self.whose(request.name).status(request)
        raise RefusedError("nobody does that")

    def whose(self, name: str) -> Servers | Parts:
        """Return who has started what is called so."""
        return self.parts if name in self.parts.children else self.servers

    def apart(self, number: object, work: Callable[[], Any]) -> object:
        """Do something in a process of its own, which answers by itself."""
        if worker := os.fork():
            self.workers.add(worker)
            return LATER
        try:
            self.reply(number, outcome(work))
        finally:
            os._exit(0)

    def reply(self, number: object, reply: dict[str, Any]) -> None:
        """Answer the message of that number; a hub that has ended hears nothing."""
        with suppress(OSError, wire.WireError):
            wire.send(self.hub, {"id": number, **reply})


def outcome(work: Callable[[], Any]) -> dict[str, Any]:
    """Do something, and return what to say of it."""
    try:
        return {"done": work()}
    except RefusedError as error:
        say(f"refused to the hub: {error}")
        return {"refused": str(error)}
    except AccountError as error:
        return {"no_account": str(error)}
    except Exception as error:  # noqa: BLE001 - one failure must not end all servers' helper
        say(f"failed: {error!r}")
        return {"failed": str(error)}


def say(text: str) -> None:
    """Write a line for the administrator, in which nothing passes for another line."""
    sys.stderr.write(f"beamhub's helper: {text!a}\n")


def pass_on(hub: int) -> None:
    """Tell the hub what this process is told from outside."""

    def tell(number: int, frame: FrameType | None) -> None:
        del frame
        with suppress(ProcessLookupError):
            os.kill(hub, number)

    for number in ENDS:
        # Under nohup a closed terminal isn't a reason to end.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, tell)


def main(arguments: list[str]) -> None:
    """Help a hub.

    Parameters
    ----------
    arguments : list of str
        The numbers of two open files: what root says of the portal, and a socket to its hub.
    """
    said, control = map(int, arguments)
    settings = Settings.taken(said)
    pass_on(settings.hub)
    # What is made for others, such as control groups, is passed by the hub too.
    os.umask(0o022)
    with socket.socket(fileno=control) as hub:
        hub.set_inheritable(False)
        status = Helper(settings, hub).serve()
    with suppress(OSError):
        Path(settings.sockets).rmdir()
    confinement.clear(settings.offer, settings.portal)
    ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    sys.exit(128 + ended_by if ended_by else os.WEXITSTATUS(status))


if __name__ == "__main__":
    main(sys.argv[1:])
