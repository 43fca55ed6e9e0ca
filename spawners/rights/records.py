"""Which servers the helper has started, kept in a file that root alone can read and write.

The helper of the next start finds in it what it may signal and end: the hub's word is not enough.
"""

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ..records import write_private

BOOT = Path("/proc/sys/kernel/random/boot_id")
FILE = "servers.json"


@dataclass(frozen=True)
class Running:
    """A server that was started.

    Parameters
    ----------
    pid : int
        Its process.
    began : str
        When that began, as `began` says it: a number alone may be another process's later.
    uid : int
        Its account.
    marks : dict of str to str
        Variables that tell what it has started, see `spawners.leftovers`.
    """

    pid: int
    began: str
    uid: int
    marks: Mapping[str, str]


def began(pid: int) -> str:
    """Return when a process began, since which start of the machine; empty where it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *rest = text.rpartition(")")[2].split()
    return "" if state == "Z" else f"{rest[18]} {BOOT.read_text(encoding='ascii').strip()}"


def sent(pid: int, number: int, since: str) -> bool:
    """Return whether a process that began then got a signal; another with its number gets none."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if began(pid) != since:
            return False
        signal.pidfd_send_signal(process, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(process)
    return True


class Records:
    """The servers that were started and are not finished.

    Parameters
    ----------
    folder : Path
        A folder of root's alone.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._all = self._read()

    def _read(self) -> dict[str, Running]:
        try:
            said = json.loads(self._path.read_text(encoding="utf-8"))
            found = {name: Running(**about) for name, about in said.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            # Without it nothing of an earlier start can be signalled, and all else works.
            return {}
        return {name: running for name, running in found.items() if is_running(running)}

    def get(self, name: str) -> Running | None:
        """Return a server, None where it is none of ours."""
        return self._all.get(name)

    def add(self, name: str, running: Running) -> None:
        """Keep a server that was started."""
        self._all[name] = running
        self._write()

    def remove(self, name: str) -> Running | None:
        """Forget a server, and return it."""
        found = self._all.pop(name, None)
        if found is not None:
            self._write()
        return found

    def _write(self) -> None:
        write_private(
            self._path, json.dumps({name: asdict(about) for name, about in self._all.items()})
        )


def is_running(running: Running) -> bool:
    """Return whether it is still that process."""
    return bool(running.began) and began(running.pid) == running.began
