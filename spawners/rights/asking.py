"""The hub's side: ask the helper, and know the processes that it has started."""

import asyncio
import itertools
import os
import select
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import IO, Any, Self

from ..system_accounts import AccountError
from . import wire


class HelperError(Exception):
    """The helper hasn't done what was asked; the text is for the portal's log."""


class Asking:
    """What the hub asks by.

    Parameters
    ----------
    control : socket.socket
        The hub's end of the pair.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._waiting: dict[int, Future[Any]] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._ended = False
        threading.Thread(target=self._listen, daemon=True).start()

    def ask(self, kind: str, files: Sequence[int] = (), **said: Any) -> Any:
        """Return what came of a request; it waits, so call it off the loop.

        Raises
        ------
        AccountError, HelperError
            The helper can't or doesn't want to.
        """
        return self._sent(kind, files, said).result()

    async def asked(self, kind: str, files: Sequence[int] = (), **said: Any) -> Any:
        """Return what came of a request, as `ask` does, while the loop goes on."""
        return await asyncio.wrap_future(self._sent(kind, files, said))

    def _sent(self, kind: str, files: Sequence[int], said: Mapping[str, Any]) -> Future[Any]:
        answer: Future[Any] = Future()
        # So that whoever gives up waiting cancels nothing: it's done anyway.
        answer.set_running_or_notify_cancel()
        with self._lock:
            if self._ended:
                raise HelperError("the helper has ended")
            number = next(self._numbers)
            self._waiting[number] = answer
            try:
                wire.send(self._control, {"id": number, "kind": kind, **said}, files)
            except (OSError, wire.WireError) as error:
                del self._waiting[number]
                raise HelperError(f"the helper can't be asked: {error}") from None
        return answer

    def _listen(self) -> None:
        """Hand answers to those who wait for them."""
        while True:
            try:
                taken = wire.receive(self._control)
            except (OSError, wire.WireError):
                taken = None
            if taken is None:
                break
            message, _ = taken
            with self._lock:
                answer = self._waiting.pop(message["id"])
            settle(answer, message)
        with self._lock:
            self._ended = True
            left = list(self._waiting.values())
        for answer in left:
            answer.set_exception(HelperError("the helper has ended"))


def settle(answer: "Future[Any]", message: Mapping[str, Any]) -> None:
    """Let whoever asked know what came of it."""
    if "done" in message:
        answer.set_result(message["done"])
    elif "no_account" in message:
        answer.set_exception(AccountError(message["no_account"]))
    else:
        answer.set_exception(HelperError(message.get("refused") or message.get("failed")))


class Child:
    """A process that the helper has started, as `subprocess.Popen` shows one.

    Parameters
    ----------
    asking : Asking
        By which the helper is asked.
    name : str
        What the helper calls it.
    pid : int
        Its number.
    """

    def __init__(self, asking: Asking, name: str, pid: int) -> None:
        self.asking, self.name, self.pid = asking, name, pid
        self.returncode: int | None = None
        self._end = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Return None while it runs, its exit status otherwise."""
        if self.returncode is None and select.select([self._end], [], [], 0)[0]:
            self.returncode = self.asking.ask("status", name=self.name)["status"]
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end, at most so many seconds, and return its exit status then."""
        if self.returncode is None:
            select.select([self._end], [], [], timeout)
        return self.poll()

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            self.asking.ask("signal", name=self.name, number=int(number))

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Look at it no more."""
        if self._end >= 0:
            os.close(self._end)
            self._end = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.wait()
        self.close()


helper: Asking | None = None
"""Whom this process asks for what needs root's rights; None where it does so itself, or nobody."""


def ask_by(control: socket.socket) -> None:
    """Let this process be a hub that has a helper."""
    global helper
    helper = Asking(control)


def has_roots_rights() -> bool:
    """Return whether servers run under accounts of their users: by this process or its helper."""
    return helper is not None or os.geteuid() == 0


def begin(part: str, files: Sequence[int], *arguments: str, **variables: str) -> Child:
    """Have a part of the portal started, with its standard files and what else it gets open."""
    assert helper is not None
    said = helper.ask(
        "begin", files, part=part, arguments=list(arguments), variables=dict(variables)
    )
    return Child(helper, said["name"], said["pid"])


def converse(part: str, *arguments: str) -> tuple[Child, IO[str], IO[str]]:
    """Have a part of the portal started that is talked to.

    Returns
    -------
    tuple
        The process, what it hears, and what it says.
    """
    reading, to_it = os.pipe()
    from_it, writing = os.pipe()
    try:
        child = begin(part, (reading, writing, 2), *arguments)
    except BaseException:
        os.close(to_it)
        os.close(from_it)
        raise
    finally:
        os.close(reading)
        os.close(writing)
    return child, os.fdopen(to_it, "w"), os.fdopen(from_it)
