"""Get a container image that isn't on the machine: fetched or built, once for all who wait."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from docker.errors import APIError

from . import child_processes

FETCHING = ThreadPoolExecutor(16, thread_name_prefix="fetching")
"""Of their own: each waits as long as its image takes."""


class Report(Protocol):
    """Takes progress in percent, a sentence, and details for those who want them."""

    def __call__(self, percent: int, message: str, detail: str = "") -> None:
        """Tell."""


FIRST, LAST = 5, 80
"""Percent of a start between which an image is obtained."""


class ObtainingError(Exception):
    """An image can't be had; the text is for the user, `log` for the details."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


@dataclass
class Work:
    """One image on its way: whoever comes later sees the same progress.

    Parameters
    ----------
    task : asyncio.Task
        What fetches or builds; it goes on when one who waits gives up.
    waiting : list of callable
        Those who are told.
    last : tuple
        What they were told last.
    """

    task: asyncio.Task[None] | None = None
    waiting: list[Report] = field(default_factory=list)
    last: tuple[int, str, str] = (FIRST, "Looking for the software of this use case", "")

    def tell(self, percent: int, message: str, detail: str = "") -> None:
        """Tell all who wait, once."""
        if (percent, message, detail) == self.last:
            return
        self.last = (percent, message, detail)
        for report in self.waiting:
            report(percent, message, detail)


WORKS: dict[str, Work] = {}
"""The images that are on their way, by reference."""


async def obtain(
    client: Any, image: str, ways: Sequence[str], build_command: Sequence[str], report: Report
) -> None:
    """Get an image that Docker doesn't have.

    Parameters
    ----------
    client : docker.APIClient
        The daemon's.
    image : str
        Its reference, by tag or by digest.
    ways : sequence of str
        'pull' and 'build', in the order in which they are tried.
    build_command : sequence of str
        What builds it.
    report : callable
        Told of each step.

    Raises
    ------
    ObtainingError
        None of the ways led to it.
    """
    work = WORKS.get(image)
    if work is None:
        work = WORKS[image] = Work()
        work.task = asyncio.create_task(all_ways(client, image, ways, build_command, work.tell))
        work.task.add_done_callback(lambda _: WORKS.pop(image, None))
    assert work.task is not None
    work.waiting.append(report)
    report(*work.last)
    try:
        await asyncio.shield(work.task)
    finally:
        work.waiting.remove(report)


async def all_ways(
    client: Any, image: str, ways: Sequence[str], build_command: Sequence[str], report: Report
) -> None:
    """Try one way after another."""
    said: list[str] = []
    logs: list[str] = []
    # Another build is another image: what a digest names can only be fetched.
    possible = [way for way in ways if way == "pull" or "@" not in image]
    for way in possible:
        try:
            if way == "pull":
                await pull(client, image, report)
            else:
                await build(build_command, report)
        except ObtainingError as error:
            said.append(str(error))
            logs.append(error.log)
        else:
            return
    begin = f"The software of this use case, the image {image}, is not on this machine."
    raise ObtainingError(" ".join([begin, *said]), "\n".join(filter(None, logs)))


async def pull(client: Any, image: str, report: Report) -> None:
    """Fetch an image from its registry.

    Raises
    ------
    ObtainingError
        The registry doesn't have it, can't be reached, or the disk is full.
    """
    repository, tag = split(image)
    layers: dict[str, tuple[int, int]] = {}
    try:
        async for event in in_thread(lambda: client.pull(repository, tag, stream=True)):
            if "error" in event:
                raise ObtainingError(pull_failed(str(event["error"])))
            layers = with_event(layers, event)
            report(*progress_of(layers))
    except APIError as error:
        raise ObtainingError(pull_failed(str(error.explanation))) from None


def split(image: str) -> tuple[str, str]:
    """Return an image's repository and its tag or digest."""
    if "@" in image:
        repository, _, digest = image.partition("@")
        return repository, digest
    repository, _, tag = image.rpartition(":")
    return repository, tag


def pull_failed(why: str) -> str:
    """Return in words why an image could not be fetched."""
    if "no space left" in why:
        return "The disk is full, so it could not be fetched."
    if any(word in why for word in ("not found", "manifest unknown", "denied", "unauthorized")):
        return "The registry doesn't have it, or doesn't give it to this portal."
    return "Its registry could not be reached."


async def in_thread(begin: Callable[[], Iterable[bytes]]) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of one of Docker's streams, which block while they wait."""
    loop = asyncio.get_running_loop()
    stream = iter(await loop.run_in_executor(FETCHING, begin))
    while (chunk := await loop.run_in_executor(FETCHING, next, stream, None)) is not None:
        for line in chunk.splitlines():
            if line.strip():
                yield json.loads(line)


def with_event(
    layers: Mapping[str, tuple[int, int]], event: Mapping[str, Any]
) -> dict[str, tuple[int, int]]:
    """Return how many bytes of each layer are here, of how many, after an event."""
    detail = event.get("progressDetail") or {}
    name = str(event.get("id", ""))
    if event.get("status") == "Downloading" and detail.get("total"):
        return {**layers, name: (int(detail["current"]), int(detail["total"]))}
    if event.get("status") in ("Download complete", "Pull complete") and name in layers:
        return {**layers, name: (layers[name][1], layers[name][1])}
    return dict(layers)


def progress_of(layers: Mapping[str, tuple[int, int]]) -> tuple[int, str]:
    """Return how far fetching is, in percent of the start and in words."""
    here, total = (sum(part) for part in zip(*layers.values(), strict=True)) if layers else (0, 0)
    if not total:
        return FIRST, "Fetching the software of this use case, the first time only"
    if here == total:
        return LAST, "Unpacking the software of this use case"
    percent = FIRST + round((LAST - FIRST) * here / total)
    return percent, f"Fetching the software: {here / 1e6:.0f} of {total / 1e6:.0f} MB"


async def build(command: Sequence[str], report: Report) -> None:
    """Build an image by a command that tells a line a step.

    Raises
    ------
    ObtainingError
        It failed; the log has what it said.
    """
    process = await child_processes.start(
        command,
        env=child_processes.child_environment(
            (*child_processes.FOR_DOCKER, *child_processes.FOR_UV)
        ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    lines: list[str] = []
    try:
        assert process.stdout is not None
        async for raw in process.stdout:
            lines.append(raw.decode(errors="replace").rstrip())
            # Nobody knows how many steps are to come: each brings it nearer to the end.
            done = 1 - 0.95 ** len(lines)
            message = "Building the software of this use case, the first time only"
            report(FIRST + round((LAST - FIRST) * done), message, lines[-1])
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if status:
        log = "\n".join(lines)
        full = "no space left" in log.lower()
        why = "the disk is full" if full else (lines or ["it says nothing"])[-1]
        raise ObtainingError(f"It could not be built here: {why[:200]}", log)
