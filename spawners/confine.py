"""The system calls by which a process walls itself in, before it gives up root's rights.

Also run by its path, ``python -I -S confine.py FOLDER``, to try each wall and print as JSON what
keeps it from being had. Imports nothing but Python's own library.
"""

import ctypes
import errno
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

CLONE_NEWNS = 0x00020000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x2, 0x4, 0x8
MS_BIND, MS_MOVE, MS_REC, MS_SLAVE = 0x1000, 0x2000, 0x4000, 0x80000
PR_SET_NO_NEW_PRIVS = 38
KEYCTL = {"x86_64": 250, "aarch64": 219}
"""The number of that system call, for which libc has no function."""
KEYCTL_JOIN_SESSION_KEYRING = 1
HIDEPID_A_MOUNT = (5, 8)
"""Before this version of Linux, hiding processes in one mount hid them in all."""
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
GPUS = ("nvidia", "dri", "kfd", "infiniband", "accel", "dxg")
"""Beginnings of the names of devices that compute."""
LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
LINKS |= {"ptmx": "pts/ptmx"}
OWN_TEMPORARY = {"/tmp": "tmp", "/var/tmp": "var-tmp"}  # noqa: S108 - what is put in their place
NOTHING = "nothing"
"""The name of an empty folder, see `Walls.closed`."""
libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Walls:
    """What a process puts between itself and others.

    Parameters
    ----------
    groups : tuple of str
        Folders of control groups that it joins.
    folder : str
        A folder of root's with what is put in place of temporary folders, see `OWN_TEMPORARY`,
        and empty ones for devices and in place of what is closed; empty for none.
    closed : tuple of str
        Folders in which nothing is seen: by sockets in them, services would start programs that
        aren't within these walls.
    kept : tuple of str
        What below the temporary folders stays in sight.
    devices, hidden, privileges : bool
        Whether it sees only devices that all programs need, sees only its own account's
        processes, and gains nothing from programs that run as another account.
    """

    groups: tuple[str, ...] = ()
    folder: str = ""
    closed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    devices: bool = False
    hidden: bool = False
    privileges: bool = False

    def enter(self) -> None:
        """Put the walls around this process and all that it starts."""
        try:
            self._enter()
        except OSError as error:
            # Python tells nobody what went wrong between fork and exec.
            os.write(2, f"This server could not be confined: {error}\n".encode())
            raise

    def _enter(self) -> None:
        # What is made here is passed and read by the account that runs later.
        os.umask(0o022)
        for group in self.groups:
            Path(group, "cgroup.procs").write_text("0", encoding="ascii")
        if self.folder or self.devices or self.hidden:
            own_mounts()
        if self.devices:
            own_devices(Path(self.folder, "dev"))
        if self.folder:
            for place in self.closed:
                mount(f"{self.folder}/{NOTHING}", place, flags=MS_BIND)
            own_temporary(self.folder, self.kept)
        if self.hidden:
            hide_processes()
        if self.privileges:
            no_new_privileges()


def called(result: int) -> None:
    """Raise the error of a system call that failed."""
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def mount(source: str, target: str, kind: str = "none", flags: int = 0, data: str = "") -> None:
    """Mount, as mount(2)."""
    called(libc.mount(*(s.encode() for s in (source, target, kind)), flags, data.encode()))


def own_mounts() -> None:
    """Let what is mounted here be seen by nobody else; what the machine mounts is seen here."""
    called(libc.unshare(CLONE_NEWNS))
    mount("none", "/", flags=MS_REC | MS_SLAVE)


def own_temporary(folder: str, kept: Iterable[str]) -> None:
    """Put folders of one's own in place of those that everybody shares."""
    wanted = {target: f"{folder}/{name}" for target, name in OWN_TEMPORARY.items()}
    # What is put in place may hide what comes next: all is taken hold of before.
    handles = {
        target: os.open(source, os.O_PATH | os.O_CLOEXEC)
        for target, source in (*wanted.items(), *((path, path) for path in kept))
    }
    for target, handle in handles.items():
        if target not in wanted:
            make_like(handle, Path(target))
        mount(f"/proc/self/fd/{handle}", target, flags=MS_BIND | MS_REC)
        os.close(handle)


def make_like(handle: int, path: Path) -> None:
    """Make a folder or a file where another is to be shown."""
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    else:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.touch()


def own_devices(folder: Path) -> None:
    """Show only devices that all programs need, and those that compute."""
    mount("tmpfs", str(folder), "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=64k")
    for device in sorted(Path("/dev").iterdir()):
        if device.name in DEVICES or device.name.startswith(GPUS):
            show_device(device, folder / device.name)
    for name, target in LINKS.items():
        (folder / name).symlink_to(target)
    (folder / "pts").mkdir(mode=0o755)
    options = "newinstance,ptmxmode=0666,mode=0620"
    mount("devpts", str(folder / "pts"), "devpts", MS_NOSUID | MS_NOEXEC, options)
    (folder / "shm").mkdir()
    mount("tmpfs", str(folder / "shm"), "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    mount(str(folder), "/dev", flags=MS_MOVE)


def show_device(source: Path, target: Path) -> None:
    """Show a device, or a folder of some, at another place."""
    if source.is_dir():
        target.mkdir(mode=0o755)
    else:
        target.touch(mode=0o600)
    mount(str(source), str(target), flags=MS_BIND | MS_REC)


def hide_processes() -> None:
    """Show only processes of this account's, once it is no longer root."""
    release = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))
    if release < HIDEPID_A_MOUNT:
        raise OSError(errno.ENOSYS, f"Linux {os.uname().release} is older than 5.8")
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2")


def no_new_privileges() -> None:
    """Gain nothing from programs that run as another account, such as sudo."""
    called(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def own_keyring() -> None:
    """Hold keys, as of Kerberos and AFS, that are no other process's so far.

    Whoever holds a session's keyring may use what is in it, whatever the account. Containers that
    may not have one have none to inherit.
    """
    if number := KEYCTL.get(os.uname().machine):
        libc.syscall(number, KEYCTL_JOIN_SESSION_KEYRING, None)


@dataclass
class Trial:
    """What was tried, and what kept each wall from being had; empty where it can be."""

    results: dict[str, str] = field(default_factory=dict)

    def attempt(self, name: str, wall: Callable[[], None]) -> None:
        """Try a wall in a process that ends with it."""
        read, write = os.pipe()
        if child := os.fork():
            os.close(write)
            with os.fdopen(read) as told:
                self.results[name] = told.read()
            os.waitpid(child, 0)
            return
        try:
            wall()
            said = ""
        except OSError as error:
            said = error.strerror or str(error)
        os.write(write, said.encode())
        os._exit(0)


def main(folder: str) -> None:
    """Try each wall and print what keeps it from being had."""
    trial = Trial()
    trial.attempt("temporary", Walls(folder=folder).enter)
    trial.attempt("devices", Walls(folder=folder, devices=True).enter)
    trial.attempt("hidden", Walls(hidden=True).enter)
    trial.attempt("privileges", Walls(privileges=True).enter)
    json.dump(trial.results, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
