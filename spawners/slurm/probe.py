"""A job of a minute wherever servers would run: whether all that they need is there."""

import asyncio
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from ipaddress import IPv4Address

from ..accounts import own_name
from ..launch import Resources
from ..system_accounts import AccountError, person
from .checks import may_start_as
from .commands import CommandError, run, run_as
from .jobs import Job
from .queue import ask_jobs, owned
from .script import job_name, job_script
from .settings import SlurmSettings
from .words import ending_of, reason_of, refusal_of

WAIT_S = 120.0
LOOK_S = 1.0
ASK_STATUS = ("squeue", "--noheader", "--all", "--Format=exit_code:20")
DONE = ("COMPLETED", "FAILED")
SCRIPT = """\
timeout 10 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" || exit 11
if [ -n "$3" ]; then ls "$3/" || exit 12; fi
written=$(mktemp ~/.beamhub-check-XXXXXX) && rm "$written" || exit 13
if [ -n "$4" ]; then command -v "$4" || exit 14; fi
"""
"""Its arguments: the hub's address and port, the software's folder, a program."""
MISSING = {
    "11": "does not reach the portal at {host}, port {port}. Let nodes connect there, or name in "
    "backend.hub an address of this machine that they reach",
    "12": "does not see the folder {folder}, where its software lies",
    "13": "can't write into the home folder of {user}",
    "14": "has no program '{program}'",
}
"""What each exit status of the script means."""


@dataclass(frozen=True)
class Probe:
    """One job: where it goes, and what it looks for.

    Parameters
    ----------
    size : str
        One that goes there.
    user : str
        Under whose account it runs.
    host, port : str, int
        Where jobs dial in.
    folder, program : str
        What software needs on a node, empty for nothing.
    """

    size: str
    user: str
    host: str
    port: int
    folder: str = ""
    program: str = ""

    @property
    def command(self) -> list[str]:
        """What the job runs."""
        looked_for = [self.host, str(self.port), self.folder, self.program]
        return ["bash", "-c", SCRIPT, "beamhub-check", *looked_for]

    def missing(self, status: str) -> str:
        """Return what an exit status of the script says."""
        told = MISSING.get(status, f"ended it with status {status}")
        return told.format(**vars(self))


def job_findings(
    settings: SlurmSettings, resources: Mapping[str, Resources], user: str, port: int
) -> Iterator[str]:
    """Yield what is missing where servers would run, and on the ways there and back."""
    try:
        account = person(user)
    except AccountError as error:
        yield str(error)
        return
    if not may_start_as(account):
        yield f"The account '{own_name()}' may not start jobs for '{account}', so none was run."
        return
    places = {settings.where(size): size for size in reversed(list(resources))}
    try:
        with listening(settings.hub, port):
            yield from asyncio.run(run_all(settings, [*places.values()], account, port))
    except OSError as error:
        yield f"backend.hub: the portal can't listen at {settings.hub}: {error.strerror}."


def listening(address: IPv4Address, port: int) -> closing[socket.socket]:
    """Return a socket that listens where jobs would dial in, unless the portal itself does."""
    made = socket.socket()
    if made.connect_ex((str(address), port)):
        made.close()
        made = socket.create_server((str(address), port))
    return closing(made)


async def run_all(settings: SlurmSettings, sizes: list[str], user: str, port: int) -> list[str]:
    """Return what the jobs found, all at once."""
    software = settings.software
    host = socket.gethostname() if settings.hub.is_unspecified else str(settings.hub)
    program = "apptainer" if software.kind == "apptainer" else ""
    probes = [Probe(size, user, host, port, str(software.folder), program) for size in sizes]
    found = await asyncio.gather(*(finding(settings, probe) for probe in probes))
    return [text for text in found if text]


async def finding(settings: SlurmSettings, probe: Probe) -> str:
    """Return what one job found, empty where nothing is missing."""
    small = Resources(cores=1, memory_gib=0.1, walltime_h=1 / 60)
    demand = settings.demand(probe.size, small)
    script = job_script(
        {"name": job_name("check", probe.size), **demand.directives},
        command=probe.command,
        variables={},
        prologue=settings.prologue,
        exclusive=demand.exclusive,
    )
    label = f"A job of {probe.user} in partition '{demand.partition}'"
    try:
        number = (await run_as(probe.user, "sbatch", "--parsable", text=script)).split()[-1]
        job, status = await until_over(number, probe.user)
        node = job.node
        if not job.over:
            why = reason_of(job.reason) if job.waits else f"Node '{node}' takes long"
            return f"{label} was not over within {WAIT_S:g} s, so it was cancelled. {why}."
        if job.state not in DONE:
            return f"{label}: {ending_of(job)}"
        if status != "0":
            return f"{label}: node '{node}' {probe.missing(status)}."
        return ""
    except CommandError as error:
        return f"{label}: {refusal_of(str(error))}"


async def until_over(number: str, user: str) -> tuple[Job, str]:
    """Return a job once it is over, and its exit status; one that doesn't begin is cancelled."""
    job, status = Job(number, "PENDING", user), ""
    try:
        async with asyncio.timeout(WAIT_S):
            while not job.over:
                await asyncio.sleep(LOOK_S)
                chosen = ("--states=all", f"--jobs={number}")
                job = owned(await ask_jobs(*chosen), number, user) or job
            status = status_in(await run(*ASK_STATUS, *chosen))
    except TimeoutError:
        await run_as(user, "scancel", number)
    return job, status


def status_in(said: str) -> str:
    """Return a job's exit status: ``2816`` and ``11:0`` are both 11."""
    found = re.findall(r"^(\d+)(:\d+)? *$", said, re.MULTILINE)
    if not found:
        return ""
    number, signal = found[-1]
    return number if signal else str(os.waitstatus_to_exitcode(int(number)))
