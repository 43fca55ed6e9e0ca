"""Keep the archives that users have sent, each read by a process without rights."""

import asyncio
import os
import re
import secrets
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from spawners import child_processes
from spawners.process_end import end_of
from spawners.rights import asking
from workbench.record import Archived

from .crates import NOTEBOOK, REFUSED, RUN, SECONDS, CrateError

KEPT_S = 24 * 3600
WANTED, PLACED = "wanted", "placed"
LONGEST_SENTENCE = 4096
# -I: neither the folder it stands in nor a variable has a say in what is imported.
READER_COMMAND = (sys.executable, "-I", "-X", "utf8", "-m", "hub.crates")
PART = "reader"
"""What the helper calls it, see `spawners.rights`."""
TOKEN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Kept:
    """An archive that a user has sent, as far as it is needed.

    Parameters
    ----------
    token : str
        Names it in addresses.
    folder : Path
        Where its record and its notebook lie.
    about : Archived
        The record.
    """

    token: str
    folder: Path
    about: Archived

    @property
    def notebook(self) -> bytes:
        """The notebook."""
        return (self.folder / NOTEBOOK).read_bytes()

    @property
    def wanted(self) -> bool:
        """Whether the user has pressed the button that opens it."""
        return (self.folder / WANTED).exists()

    def want(self) -> None:
        """Note that the user wants it opened, once more if it was before."""
        (self.folder / PLACED).unlink(missing_ok=True)
        (self.folder / WANTED).touch()

    @property
    def placed(self) -> str:
        """The name under which it was put into the user's folder, empty before."""
        path = self.folder / PLACED
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def place(self, name: str) -> None:
        """Note the name under which it was put into the user's folder."""
        (self.folder / PLACED).write_text(name, encoding="utf-8")


class Shelf:
    """The archives that users have sent: one a user, for a day.

    Parameters
    ----------
    folder : Path
        Below the state folder; made where it isn't there yet.

    Attributes
    ----------
    sending : set of int
        The users of whom something is just coming in.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sending: set[int] = set()
        self._turn = asyncio.Semaphore(1)

    def begin(self) -> IO[bytes]:
        """Return a file without a name that takes what a user sends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        return tempfile.TemporaryFile(dir=self.folder)

    async def put(self, user_id: int, given: IO[bytes]) -> str:
        """Keep what a user has sent, in place of what that user sent before, and name it.

        Raises
        ------
        CrateError
            It can't be used.
        """
        token = secrets.token_hex(16)
        target = self.folder / f"{user_id}-{token}"
        target.mkdir(parents=True, mode=0o700)
        try:
            async with self._turn:
                await read_apart(given, target)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
        self._clear(user_id, target)
        return token

    def get(self, user_id: int, token: str) -> Kept | None:
        """Return what a user has sent, None where it isn't there or isn't that user's."""
        if not TOKEN.fullmatch(token):
            return None
        folder = self.folder / f"{user_id}-{token}"
        try:
            text = (folder / RUN).read_bytes()
        except OSError:
            return None
        return Kept(token, folder, Archived.model_validate_json(text))

    def _clear(self, user_id: int, kept: Path) -> None:
        """Take away what a user sent before, and what anybody sent long ago."""
        for path in self.folder.iterdir():
            with suppress(OSError):
                old = time.time() - path.stat().st_mtime > KEPT_S
                if path != kept and (old or path.name.startswith(f"{user_id}-")):
                    shutil.rmtree(path, ignore_errors=True)


async def read_apart(given: IO[bytes], folder: Path) -> None:
    """Read an archive in a process without rights, which fills two files of ours in `folder`.

    Raises
    ------
    CrateError
        It can't be used, or reading it took more memory or time than any archive needs.
    """
    given.flush()
    given.seek(0)
    with (folder / f".{RUN}").open("wb") as run, (folder / NOTEBOOK).open("wb") as notebook:
        if asking.helper is not None:
            status, said = await read_by_helper(given, run, notebook)
        else:
            status, said = await read_by_child(given, run, notebook)
    if status == REFUSED:
        raise CrateError(said.decode("utf-8", "replace").strip())
    if status != 0:
        raise CrateError("Reading this file takes more memory or time than an archive can need.")
    # Once the record is there, so is the notebook.
    (folder / f".{RUN}").rename(folder / RUN)


async def read_by_helper(
    given: IO[bytes], run: IO[bytes], notebook: IO[bytes]
) -> tuple[int | None, bytes]:
    """Have the helper start the process, which needs root's rights; see `read_by_child`."""
    reading, writing = os.pipe()
    nothing = os.open(os.devnull, os.O_WRONLY)
    with os.fdopen(reading, "rb") as told:
        files = (given.fileno(), writing, nothing, run.fileno(), notebook.fileno())
        try:
            child = await asyncio.to_thread(asking.begin, PART, files)
        finally:
            os.close(writing)
            os.close(nothing)
        try:
            async with asyncio.timeout(3 * SECONDS):
                await end_of(child.pid)
        except TimeoutError:
            pass
        finally:
            await asyncio.to_thread(child.kill)
            status = await asyncio.to_thread(child.wait)
            child.close()
        return status, told.read(LONGEST_SENTENCE)


async def read_by_child(
    given: IO[bytes], run: IO[bytes], notebook: IO[bytes]
) -> tuple[int | None, bytes]:
    """Return the exit status of the process that reads, None where it took too long, and words."""
    process = await child_processes.start(
        [*READER_COMMAND, str(run.fileno()), str(notebook.fileno())],
        pass_fds=(run.fileno(), notebook.fileno()),
        stdin=given,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(3 * SECONDS):
            said = await process.stdout.read(LONGEST_SENTENCE)
            status = await process.wait()
    except TimeoutError:
        said, status = b"", None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return status, said
