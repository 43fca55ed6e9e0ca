"""Make ready what a use case's servers run, as root; its progress is told line by line.

Run as ``python -I -m spawners.rights.readying STATE WORKBENCH CONSTRAINTS USE_CASE``: full paths,
of which the hub has chosen none but the last, among those of the site.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

from .. import environments
from ..environments import BuildError, Recipe, Report
from ..payload import payload
from ..state_folders import ENVIRONMENTS, USE_CASES
from . import asking

PART = "readying"
LINE_LONGEST = 1 << 20


def tell(**said: Any) -> None:
    """Write a line for the hub; one that has ended is a reason to end."""
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


async def ready(state: Path, workbench: Path, constraints: str, use_case: Path) -> dict[str, str]:
    """Return where the environment and the notebooks of a use case lie, made where they don't."""
    recipe = Recipe.of(use_case, Path(constraints) if constraints else None, workbench)
    folder = (state / ENVIRONMENTS).resolve()
    environment = await environments.ensure(
        folder, recipe, lambda percent, text: tell(percent=percent, text=text)
    )
    notebooks = payload(state / USE_CASES, use_case)
    return {"environment": str(environment), "notebooks": str(notebooks)}


async def readied(use_case: str, report: Report) -> tuple[Path, Path]:
    """Have a use case made ready by the helper; return its environment and its notebooks.

    Raises
    ------
    BuildError
        It can't be made.
    """
    said: dict[str, Any] = {}
    async with aclosing(told(use_case)) as lines:
        async for line in lines:
            said = json.loads(line)
            if "text" in said:
                report(said["percent"], said["text"])
    if "environment" not in said:
        message = said.get("error", "The use case's software could not be made ready.")
        raise BuildError(message, said.get("log", ""))
    return Path(said["environment"]), Path(said["notebooks"])


async def told(use_case: str) -> AsyncGenerator[bytes]:
    """Yield what the helper's process says; it ends when nobody listens any more."""
    reading, writing = os.pipe()
    nothing = os.open(os.devnull, os.O_RDWR)
    lines = asyncio.StreamReader(limit=LINE_LONGEST)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(reading, "rb", buffering=0)
    )
    try:
        try:
            child = await asyncio.to_thread(asking.begin, PART, (nothing, writing, 2), use_case)
        finally:
            os.close(writing)
            os.close(nothing)
        try:
            async for line in lines:
                yield line
        finally:
            with suppress(OSError):
                await asyncio.to_thread(child.terminate)
                await asyncio.to_thread(child.__exit__, None, None, None)
    finally:
        transport.close()


def main(arguments: list[str]) -> None:
    """Make a use case ready and say so, or why not."""
    state, workbench, constraints, use_case = arguments
    try:
        tell(**asyncio.run(ready(Path(state), Path(workbench), constraints, Path(use_case))))
    except BuildError as error:
        tell(error=str(error), log=error.log[-LINE_LONGEST // 8 :])


if __name__ == "__main__":
    main(sys.argv[1:])
