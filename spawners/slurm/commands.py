"""Run Slurm's commands: without a shell, never for ever, counted."""

import asyncio
from collections import Counter
from contextlib import suppress

from .. import child_processes

LONGEST_S = 30
PASSED_ON = ("SLURM_CONF", "LD_LIBRARY_PATH")
"""Where Slurm's settings are, and its libraries where a site has them in a folder of their own."""
STARTED: Counter[str] = Counter()
"""How many processes of each command this hub has started."""


class CommandError(Exception):
    """A command failed; the text is what it said."""


class NoAnswerError(CommandError):
    """A command isn't here, or took too long."""


async def run(
    *command: str, text: str = "", longest_s: float = LONGEST_S, with_errors: bool = False
) -> str:
    """Return what a command prints.

    Parameters
    ----------
    command : str
        The program and its arguments.
    text : str, optional
        What it reads.
    longest_s : float, optional
        Seconds after which it is given up.
    with_errors : bool, optional
        Whether to return its standard error too.

    Raises
    ------
    NoAnswerError
        It can't be started, or takes too long.
    CommandError
        It failed.
    """
    STARTED[command[0]] += 1
    pipe = asyncio.subprocess.PIPE
    try:
        process = await child_processes.start(
            command, stdin=pipe, stdout=pipe, stderr=pipe, env=plain_environment()
        )
    except OSError as error:
        raise NoAnswerError(f"{command[0]}: {error.strerror}") from None
    try:
        async with asyncio.timeout(longest_s):
            out, err = await process.communicate(text.encode())
    except TimeoutError:
        raise NoAnswerError(f"{command[0]} did not answer within {longest_s:g} s") from None
    finally:
        await end(process)
    if process.returncode:
        said = err.decode(errors="replace").strip()
        raise CommandError(said or f"{command[0]} ended with status {process.returncode}")
    return (out + err if with_errors else out).decode(errors="replace")


async def end(process: asyncio.subprocess.Process) -> None:
    """End a process that runs on; one under another account can't be, and ends by itself."""
    if process.returncode is None:
        with suppress(PermissionError):
            process.kill()
            await process.wait()


async def run_as(user: str, *command: str, text: str = "", with_errors: bool = False) -> str:
    """Return what a command prints that runs under another account: see `run`."""
    return await run("sudo", "-n", "-u", user, *command, text=text, with_errors=with_errors)


def plain_environment() -> dict[str, str]:
    """Return what commands are told: nothing of the hub's own, and times in seconds since 1970."""
    own = {"SLURM_TIME_FORMAT": "%s", "LC_ALL": "C.UTF-8"}
    return child_processes.child_environment(PASSED_ON, **own)
