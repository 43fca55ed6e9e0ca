"""Whether this machine can give jobs to the cluster, and the cluster takes them."""

import asyncio
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from .. import child_processes
from ..accounts import own_name
from ..launch import Resources
from ..system_accounts import FIRST_PERSON
from .bounds import bound
from .commands import CommandError, plain_environment
from .jobs import Node
from .limits import Machine
from .machine import ask_machine
from .queue import ask_nodes
from .settings import SlurmSettings
from .sizes import trial_script
from .words import refusal_of

COMMANDS = ("sbatch", "scancel", "squeue", "sacct", "sacctmgr", "scontrol", "sudo")
AS = ("sudo", "-n", "-u")
SECONDS = 30
NOBODY = 65_534
SUDO_RULE = (
    "The account '{hub}' may not start jobs for users. As root, write into /etc/sudoers.d/beamhub, "
    "with the group of those who may use the portal: {hub} ALL=(%users) NOPASSWD: {sbatch} "
    "--parsable, {sbatch} --test-only, {scancel} ^[0-9]+$"
)


def findings(settings: SlurmSettings) -> Iterator[str]:
    """Yield what is missing, a sentence each."""
    for command in filter(missing, COMMANDS):
        yield f"The command '{command}' is not on the PATH of this machine."
    yield from unshared(settings.software.folder, settings.software.kind)
    if any(map(missing, COMMANDS)):
        return
    if problem := failure("squeue", "--noheader", "--me"):
        yield f"Slurm's controller doesn't answer here: {problem}"
        return
    if somebody() is None:
        programs = {name: shutil.which(name) for name in ("sbatch", "scancel")}
        yield SUDO_RULE.format(hub=own_name(), **programs)


def missing(command: str) -> bool:
    """Return whether this machine lacks a command."""
    return shutil.which(command) is None


def size_findings(settings: SlurmSettings, resources: Mapping[str, Resources]) -> Iterator[str]:
    """Yield what Slurm has against jobs of each size, in the name of somebody who may use it."""
    for size in settings.by_size.keys() - resources.keys():
        yield f"backend.by_size.{size}: there is no size of that name."
    person = None if any(map(missing, COMMANDS)) else somebody()
    if person is None:
        return
    try:
        machine, nodes = asyncio.run(ask_both())
    except CommandError as error:
        yield f"What bounds jobs can't be read from Slurm: {error}"
        return
    for size, r in resources.items():
        declared = "walltime_h" in r.model_fields_set
        closed = bound(settings.demand(size, r, person), declared, machine, nodes).closed
        if closed:
            yield f"sizes.{size}: no job of {person} could run: {closed}."
            continue
        script = trial_script(settings, size, r)
        if said := failure(*AS, person, "sbatch", "--test-only", text=script):
            yield f"sizes.{size}: a job of {person} would not be taken. {refusal_of(said)}"


async def ask_both() -> tuple[Machine, Mapping[str, Node]]:
    """Return what bounds jobs, and the nodes."""
    return await ask_machine(), await ask_nodes()


def unshared(folder: Path, kind: str) -> Iterator[str]:
    """Yield why jobs could not find their software."""
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
        if may_start_as(entry.pw_name):
            return entry.pw_name
    return None


def may_start_as(person: str) -> bool:
    """Return whether sudo lets this account start and cancel jobs of an account."""
    return may_run_as(person, "sbatch", "--parsable") and may_run_as(person, "scancel", "1")


def may_run_as(person: str, *command: str) -> bool:
    """Return whether sudo allows a command under an account; nothing is run."""
    return failure("sudo", "-n", "-l", "-u", person, *command) == ""


def failure(*command: str, text: str = "") -> str:
    """Return what a command says where it fails, on one line; empty where it works."""
    try:
        done = child_processes.run(
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
