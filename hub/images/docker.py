"""The part that runs ``docker``: always a list of arguments, never a shell."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spawners import child_processes

from .plan import ImageError
from .record import Made

Report = Callable[[str], None]
"""Takes a sentence about a step that is done."""

DOCKER = "docker"
STEP = re.compile(r"^#(?P<number>\d+) (?P<text>\[[^\]]*\d+/\d+\] (?!FROM ).+)$")
END = re.compile(r"^#(?P<number>\d+) (?P<word>DONE|CACHED|ERROR)(?P<rest>.*)$")
METADATA = re.compile(
    r"^#(?P<number>\d+) \[internal\] load metadata for (?P<image>\S+)$(?s:.*)^#(?P=number) ERROR",
    re.MULTILINE,
)
LINE = 96
"""Characters of a step that are shown."""
TAIL = 15
"""Lines of the log that are shown where a build fails."""


@dataclass(frozen=True)
class Layer:
    """One layer of an image: what made it, and what it costs."""

    size_bytes: int
    made_by: str


def require_docker(*, to_build: bool = False) -> None:
    """Make sure that Docker is there, answers, and can build.

    Raises
    ------
    ImageError
        It doesn't; the text says what to do.
    """
    try:
        found = quiet("version", "--format", "{{.Client.Version}}")
    except FileNotFoundError:
        raise ImageError(
            "Docker is not installed on this machine: apt-get install docker.io"
        ) from None
    if found.returncode:
        reason = found.stderr.strip().splitlines()
        raise ImageError(
            f"Docker doesn't answer: {reason[-1] if reason else 'no reason is told'} Start its "
            "daemon, join the group 'docker', or name another daemon in DOCKER_HOST."
        )
    major = int(found.stdout.partition(".")[0] or 0)
    # Up to version 20.10 the client builds by itself; after that by a plugin of its own package.
    if to_build and major >= 23 and quiet("buildx", "version").returncode:
        raise ImageError(
            "This Docker can't build images: its plugin 'buildx' is missing. "
            "Install it: apt-get install docker-buildx"
        )


def environment() -> dict[str, str]:
    """Return the environment of ``docker``: BuildKit, in the daemon that holds the images."""
    wanted = {"DOCKER_BUILDKIT": "1", "BUILDX_BUILDER": "default"}
    return child_processes.child_environment(child_processes.FOR_DOCKER, **wanted)


def quiet(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``docker`` and keep what it says."""
    return child_processes.run(
        [DOCKER, *arguments], env=environment(), capture_output=True, text=True
    )


def said(*arguments: str) -> str:
    """Run ``docker`` and return what it says.

    Raises
    ------
    ImageError
        It failed.
    """
    done = quiet(*arguments)
    if done.returncode:
        raise ImageError(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def shown(*arguments: str) -> int:
    """Run ``docker`` with this terminal and return its exit status."""
    return child_processes.run([DOCKER, *arguments], env=environment()).returncode


def build(arguments: list[str], folder: Path, log: Path, report: Report) -> None:
    """Build an image.

    Parameters
    ----------
    arguments : list of str
        As `hub.images.plan.build_arguments` returns them.
    folder : Path
        The context.
    log : Path
        Where all that the build says is kept.
    report : callable
        Told of each step.

    Raises
    ------
    ImageError
        It failed; the text ends with the log's last lines.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [DOCKER, *arguments]
    with (
        log.open("w", encoding="utf-8") as file,
        child_processes.begin(
            command,
            folder=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for step in steps(kept(process.stdout, file.write)):
                report(step)
        except BaseException:
            # Whatever ends us must not leave it building.
            process.terminate()
            raise
        status = process.wait()
    if status:
        text = log.read_text(encoding="utf-8")
        lines = text.splitlines()[-TAIL:]
        raise ImageError("\n".join([f"{failure(text)} {log} ends with:", *lines]))


def failure(log: str) -> str:
    """Return in a sentence or two why a build failed, as far as its log tells."""
    if found := METADATA.search(log):
        return (
            f"The recipe begins from {found['image']}, which can't be fetched from its registry. "
            "If you have a copy elsewhere, name it by --build-arg."
        )
    return "The build failed."


def kept(lines: Iterator[str], write: Callable[[str], object]) -> Iterator[str]:
    """Yield lines, each written first."""
    for line in lines:
        write(line)
        yield line


def steps(lines: Iterator[str]) -> Iterator[str]:
    """Yield a line for each step of a recipe that BuildKit's plain progress tells the end of."""
    begun: dict[str, str] = {}
    for line in lines:
        if found := STEP.match(line):
            begun[found["number"]] = found["text"].strip()
        elif (found := END.match(line)) and found["number"] in begun:
            text = re.sub(r"--mount=\S+ *", "", begun.pop(found["number"]))
            text = re.sub(r"\s+", " ", text)[:LINE]
            yield f"{text}  {ending(found['word'], found['rest'].strip())}"


def ending(word: str, rest: str) -> str:
    """Return how a step ended, in words."""
    seconds = re.fullmatch(r"([\d.]+)s", rest)
    if word == "DONE" and seconds:
        return f"{float(seconds[1]):.0f} s"
    return {"DONE": "done", "CACHED": "as before", "ERROR": "FAILED"}[word]


def made(reference: str) -> Made | None:
    """Return what the daemon knows of an image, None where it hasn't got it."""
    found = quiet("image", "inspect", reference)
    if found.returncode:
        return None
    about: dict[str, Any] = json.loads(found.stdout)[0]
    repository = reference.rpartition(":")[0]
    digests = [d for d in about.get("RepoDigests") or [] if d.startswith(f"{repository}@")]
    return Made(id=about["Id"], size_bytes=about["Size"], digest=digests[0] if digests else None)


def layers(reference: str) -> list[Layer]:
    """Return the layers of an image that cost anything, the lowest first."""
    form = "{{.Size}}\t{{.CreatedBy}}"
    text = said("history", "--no-trunc", "--human=false", "--format", form, reference)
    found = [line.partition("\t") for line in text.splitlines()]
    return [Layer(int(size), by) for size, _, by in reversed(found) if int(size)]


def pull(reference: str, digest: str | None) -> None:
    """Pull an image, exactly the one of a digest where that is known.

    Raises
    ------
    ImageError
        It can't be had.
    """
    if shown("pull", digest or reference):
        raise ImageError(f"{digest or reference} could not be pulled.")
    if digest:
        said("tag", digest, reference)


def push(reference: str) -> None:
    """Push an image.

    Raises
    ------
    ImageError
        The registry didn't take it.
    """
    if shown("push", reference):
        registry = reference.partition("/")[0]
        raise ImageError(
            f"{reference} could not be pushed. If the registry asks who you are: "
            f"docker login {registry}"
        )


def seconds_since(began: float) -> str:
    """Return the time since `began`, as `time.monotonic` tells it, in words."""
    return f"{time.monotonic() - began:.0f} s"
