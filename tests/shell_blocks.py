"""The shell commands of README and documentation, and how each is tried."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LANGUAGES = ("sh", "bash", "console", "shell")
BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
MARK = re.compile(r"<!-- (?P<how>tried by|tried in|tried|not tried)(?::? (?P<text>.+))? -->\s*\Z")
OUR_COMMAND = re.compile(
    r"(?:[A-Z_]+=\S* )*(?:sudo -u \S+ )?(?:[.\w/]*bin/)?beamhub(?: (?P<arguments>.*))?$"
)


@dataclass(frozen=True)
class ShellBlock:
    """One block of commands on a page.

    Parameters
    ----------
    page : Path
        Relative to the checkout.
    line : int
        Where it begins.
    text : str
        The commands.
    how : str
        'tried' where the test of readers runs it, 'tried in' where it runs the same on another
        page, 'tried by' another test, or 'not tried'; empty where the page doesn't say.
    why : str
        The other page, the test's file, or the reason.
    """

    page: Path
    line: int
    text: str
    how: str
    why: str

    def __str__(self) -> str:
        """Where it is."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The commands without comments, a line each."""
        lines = self.text.replace("\\\n", " ").splitlines()
        commands = [re.sub(r"(^|\s)#.*$", "", line).strip() for line in lines]
        return [command for command in commands if command]


def pages() -> list[Path]:
    """Return README and all pages, in the order in which a reader meets them."""
    rooms = ("tutorials", "how-to", "reference", "explanation", "decisions")
    documents = [p for room in rooms for p in sorted((ROOT / "docs" / room).rglob("*.md"))]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *documents]


def blocks_of(page: Path) -> Iterator[ShellBlock]:
    """Yield the shell blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        if found["language"] not in LANGUAGES:
            continue
        mark = MARK.search(text[: found.start()])
        yield ShellBlock(
            page=page.relative_to(ROOT),
            line=text.count("\n", 0, found.start()) + 1,
            text=re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            how=mark["how"] if mark else "",
            why=(mark["text"] or "") if mark else "",
        )


def all_blocks() -> list[ShellBlock]:
    """Return the shell blocks of all pages."""
    return [block for page in pages() for block in blocks_of(page)]


def our_arguments(command: str) -> list[str] | None:
    """Return what a command line gives to ``beamhub``; None where it runs something else."""
    found = OUR_COMMAND.match(command)
    return shlex.split(re.split(r"\s[|>]|\s&&", found["arguments"] or "")[0]) if found else None
