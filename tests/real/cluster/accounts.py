"""Accounts of this machine: the portal's, which may start jobs for people, and those people."""

import pwd
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

from .commands import said
from .files import SUDOERS

# Not "bh-": tests of other checkouts take those away.
HUB, GROUP = "beamhubhub", "beamhubpeople"
PREFIX = "bh-slurm-"
"""What the folders of clusters begin with, and so the homes of accounts made for tests."""


class Accounts:
    """Accounts with homes in a folder, as long as the cluster is there.

    Parameters
    ----------
    folder : Path
        The cluster's.
    tag : str
        What names the rule of sudo.
    """

    def __init__(self, folder: Path, tag: str) -> None:
        self.folder = folder
        self.sudoers = Path(f"/etc/sudoers.d/{tag}")
        self.made: list[str] = []

    def add_hub(self) -> None:
        """Make the portal's own account, which may start jobs for people and nothing else."""
        # What a run that was killed has left; the cluster's lock says that nobody uses it.
        remove_account(HUB)
        subprocess.run(["groupdel", GROUP], capture_output=True)
        said("groupadd", GROUP)
        said("useradd", "--create-home", "--home-dir", self.folder / "hub", HUB)
        self.made.append(HUB)
        programs = {name: shutil.which(name) for name in ("sbatch", "scancel")}
        self.sudoers.write_text(SUDOERS.format(hub=HUB, group=GROUP, **programs))
        self.sudoers.chmod(0o440)

    def add(self, name: str) -> None:
        """Make the account of somebody who may use the portal."""
        home = self.folder / "homes" / name
        home.parent.mkdir(exist_ok=True)
        if PREFIX in home_of(name):
            remove_account(name)  # of a run that was killed
        if not home_of(name):
            options = ["--shell", "/bin/bash", "--key", "HOME_MODE=0700", "--groups", GROUP]
            said("useradd", "--create-home", "--home-dir", home, *options, name)
            self.made.append(name)

    def remove(self) -> None:
        """Take away all that was made."""
        for name in self.made:
            remove_account(name)
        subprocess.run(["groupdel", GROUP], capture_output=True)
        self.sudoers.unlink(missing_ok=True)


def remove_account(name: str) -> None:
    """End all processes of an account that tests have made, and remove it with its home."""
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:
        return
    # In a container beside, the same number may be somebody else's.
    ours = Path("/proc/self/ns/mnt").readlink()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            here = Path(f"/proc/{process.pid}/ns/mnt").readlink() == ours
            if here and process.uids().real == uid:
                process.kill()
    subprocess.run(["userdel", "--force", "--remove", name], capture_output=True)


def home_of(name: str) -> str:
    """Return an account's home, empty where there is no such account."""
    try:
        return pwd.getpwnam(name).pw_dir
    except KeyError:
        return ""
