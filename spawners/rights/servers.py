"""Users' servers: started under their accounts, signalled and ended, and nothing else."""

import fcntl
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import confinement
from ..confine import Walls
from ..confinement import Confined
from ..control_groups import GroupError
from ..entering import Entry, groups_of, server_command, some_cores
from ..forkservers import Forked, Forkservers
from ..marks import MARKS, marks_of
from ..shared_data import own_data_folder
from ..state_folders import DATA, ENVIRONMENTS, HOMES, READY, RIGHTS
from ..system_accounts import Account, made_account, private_folder, system_account
from .records import Records, Running, began, is_running, sent
from .requests import Finish, HaveAccount, Owned, RefusedError, Signal, Start, Status
from .settings import Settings


class Servers:
    """The servers of one portal.

    Parameters
    ----------
    settings : Settings
        What root says of it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.records = Records(settings.folder / RIGHTS)
        self.children: dict[str, subprocess.Popen[bytes] | Forked] = {}
        self.forkservers = Forkservers()
        # A lock that ends with the process that has it.
        self._turn = os.memfd_create("accounts", os.MFD_CLOEXEC)

    def have_account(self, request: HaveAccount) -> dict[str, Any]:
        """Make or look up a user's account, with its home and its folder in the cache of data.

        In a process of its own: one at a time makes an account, since two could make the same.
        """
        fcntl.lockf(self._turn, fcntl.LOCK_EX)
        account = self.account_of(request)
        fcntl.lockf(self._turn, fcntl.LOCK_UN)
        if self.settings.accounts == "portal":
            private_folder(account)
        own_data_folder(self.settings.folder / DATA, account)
        return {
            "name": account.name,
            "uid": account.uid,
            "gid": account.gid,
            "home": str(account.home),
        }

    def account_of(self, request: Owned) -> Account:
        """Return a user's account: a person's of this machine, or one that the portal made."""
        if self.settings.accounts == "system":
            return system_account(request.user)
        home = self.settings.folder / HOMES / request.slug
        return made_account((request.short, f"{request.number}-user"), home)

    def start(self, request: Start, files: Sequence[int]) -> dict[str, Any]:
        """Start a server."""
        if self.records.get(request.server) is not None:
            raise RefusedError(f"'{request.server}' runs already")
        self.refuse_beyond_limits(request)
        command = server_command(self.environment(request.environment))
        account = self.account_of(request)
        confined = self.confined(request, account) if self.settings.confined else None
        listener, log = files
        entry = Entry(
            account,
            groups_of(account),
            confined.walls if confined else Walls(),
            some_cores(request.cores),
            request.memory_bytes,
            int(self.settings.umask, 8),
        )
        try:
            process = self.copied(request, entry, files) or subprocess.Popen(
                [*command, *request.arguments],
                env={**request.variables, "BEAMHUB_SOCKET": str(listener)},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(listener,),
                start_new_session=True,
                preexec_fn=entry,
            )
        except (OSError, subprocess.SubprocessError):
            if confined:
                confined.end()
            raise
        self.children[request.server] = process
        marks = marks_of(request.variables)
        running = Running(process.pid, began(process.pid), account.uid, marks)
        self.records.add(request.server, running)
        return {"pid": process.pid}

    def copied(self, request: Start, entry: Entry, files: Sequence[int]) -> Forked | None:
        """Start a server as a copy of a process; None where there is none to be copied."""
        if not self.settings.forkserver:
            return None
        environment = self.environment(request.environment)
        given = (environment, entry, request.arguments, request.variables, list(files))
        return self.forkservers.start(*given)

    def refuse_beyond_limits(self, request: Start) -> None:
        """Refuse more than the site's largest size has."""
        if not 0 < request.memory_bytes <= self.settings.memory_max_bytes:
            raise RefusedError(f"no size has {request.memory_bytes} bytes of memory")
        if not 0 < request.cores <= self.settings.cores_max:
            raise RefusedError(f"no size has {request.cores} cores")

    def environment(self, name: str) -> Path:
        """Return an environment that root has made."""
        # By its real path, which its programs name: what is behind a link stays in sight too.
        folder = (self.settings.folder / ENVIRONMENTS).resolve() / name
        if not (folder / READY).is_file():
            raise RefusedError(f"there is no environment '{name}'")
        return folder

    def confined(self, request: Start, account: Account) -> Confined:
        """Return the confinement of a server that is about to start."""
        try:
            return confinement.confined(
                self.settings.offer,
                self.settings.portal,
                request.server,
                memory_bytes=request.memory_bytes,
                processes_max=self.settings.processes_max,
                disk_bytes_s=self.settings.disk_bytes_s,
                cores=request.cores,
                # Not what the hub's variables name: root would follow paths of its choice.
                named=[*self.settings.named, str(account.home)],
            )
        except GroupError as error:
            raise OSError(f"confining '{request.server}' failed: {error}") from None

    def status(self, request: Status) -> dict[str, Any]:
        """Return whether a server runs, and its exit status where that is known."""
        child = self.children.get(request.name)
        if child is not None:
            return {"status": child.poll(), "running": child.returncode is None}
        running = self.records.get(request.name)
        if running is None:
            raise RefusedError(f"nothing here is called {request.name[:60]!r}")
        alive = is_running(running)
        return {"status": None if alive else 0, "running": alive}

    def signal(self, request: Signal) -> dict[str, Any]:
        """Send a signal to a server's own process."""
        running = self.records.get(request.name)
        if running is None:
            raise RefusedError(f"nothing here is called {request.name[:60]!r}")
        return {"running": sent(running.pid, request.number, running.began)}

    def present(self) -> list[str]:
        """Return the servers that have something on the machine."""
        if not self.settings.confined:
            return []
        return sorted(confinement.present(self.settings.offer, self.settings.portal))

    def forgotten(self, request: Finish) -> Running | None:
        """Take a server off the record, and return what it was."""
        self.children.pop(request.name, None)
        return self.records.remove(request.name)

    def finish(self, name: str, running: Running | None) -> int:
        """End all that a server has left; return how many processes ran."""
        count = end_marked(running.marks, running.uid) if running else 0
        if running and sent(running.pid, signal.SIGKILL, running.began):
            count += 1
        if self.settings.confined:
            offer, portal = self.settings.offer, self.settings.portal
            count += confinement.restored(offer, portal, name).end()
        return count


def end_marked(marks: Mapping[str, str], uid: int) -> int:
    """Kill every process of an account whose environment has all the marks, and count them."""
    wanted = {f"{name}={value}".encode("utf-8", "surrogateescape") for name, value in marks.items()}
    if marks.keys() != set(MARKS):
        return 0
    count = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and has_marks(folder, wanted, uid):
            with suppress(ProcessLookupError):
                os.kill(int(folder.name), signal.SIGKILL)
                count += 1
    return count


def has_marks(folder: Path, wanted: set[bytes], uid: int) -> bool:
    """Return whether a process is an account's and carries the marks."""
    try:
        if folder.stat().st_uid != uid:
            return False
        return wanted <= set((folder / "environ").read_bytes().split(b"\0"))
    except OSError:
        return False
