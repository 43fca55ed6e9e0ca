"""Whether this machine can give jobs to the cluster, and the cluster takes them."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .accounts import FIRST_PERSON, own_name
from .slurm_commands import plain_environment
from .slurm_script import job_name, job_script
from .slurm_words import refusal_of

if TYPE_CHECKING:
    from .slurm import SlurmBackend, Where

COMMANDS = ("sbatch", "scancel", "squeue", "sacct", "scontrol", "sudo")
ASKED = ("partition", "account", "qos", "reservation", "constraint")
SECONDS = 30
NOBODY = 65_534
SUDO_RULE = (
    "The account '{hub}' may not start jobs for users. As root, write into /etc/sudoers.d/beamhub, "
    "with the group of those who may use the portal: {hub} ALL=(%users) NOPASSWD: {sbatch} "
    "--parsable, {sbatch} --test-only, {scancel} ^[0-9]+$"
)


def findings(backend: "SlurmBackend") -> Iterator[str]:
    """Yield what is missing, a sentence each."""
    missing = [command for command in COMMANDS if shutil.which(command) is None]
    for command in missing:
        yield f"The command '{command}' is not on the PATH of this machine."
    yield from unshared(getattr(backend.software, "folder", None), backend.software.kind)
    if missing:
        return
    if problem := failure("squeue", "--noheader", "--me"):
        yield f"Slurm's controller doesn't answer here: {problem}"
        return
    person = somebody()
    if person is None:
        programs = {name: shutil.which(name) for name in ("sbatch", "scancel")}
        yield SUDO_RULE.format(hub=own_name(), **programs)
        return
    for size in ("", *backend.by_size):
        yield from refused(person, size, backend.where(size))


def unshared(folder: Path | None, kind: str) -> Iterator[str]:
    """Yield why jobs could not find their software."""
    if folder is None:
        return
    if not folder.is_dir():
        yield f"backend.software.folder: there is no folder {folder} on this machine."
    elif kind != "apptainer" and not os.access(folder, os.W_OK):
        yield f"backend.software.folder: the account '{own_name()}' can't write into {folder}."
    elif not all(place.stat().st_mode & 0o001 for place in (folder, *folder.parents)):
        yield f"backend.software.folder: other accounts can't read {folder}, so no job could."


def somebody() -> str | None:
    """Return an account for which sudo lets this one start jobs, None where there is none."""
    people = (entry for entry in pwd.getpwall() if FIRST_PERSON <= entry.pw_uid < NOBODY)
    for entry in people:
        if may_run_as(entry.pw_name, "sbatch", "--parsable") and may_run_as(
            entry.pw_name, "scancel", "1"
        ):
            return entry.pw_name
    return None


def may_run_as(person: str, *command: str) -> bool:
    """Return whether sudo allows a command under an account; nothing is run."""
    return failure("sudo", "-n", "-l", "-u", person, *command) == ""


def refused(person: str, size: str, where: "Where") -> Iterator[str]:
    """Yield what Slurm has against a small job where those of a size go; nothing is started."""
    requests = {name: str(getattr(where, name) or "") for name in ASKED}
    smallest = {"nprocs": "1", "memory": "100M", "runtime": "1", "gres": ""}
    script = job_script(
        {"name": job_name("check", "check"), **requests, **smallest},
        command=["true"],
        variables={},
        prefix="",
        needs=[],
        prologue="",
        exclusive=where.exclusive,
    )
    problem = failure("sudo", "-n", "-u", person, "sbatch", "--test-only", text=script)
    if problem:
        what = f"backend.by_size.{size}" if size else "backend"
        yield f"{what}: a job of {person} would not be taken. {refusal_of(problem)}"


def failure(*command: str, text: str = "") -> str:
    """Return what a command says where it fails, on one line; empty where it works."""
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=plain_environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = " ".join(done.stderr.split()) or f"{command[0]} ended with status {done.returncode}"
    return said if done.returncode else ""
