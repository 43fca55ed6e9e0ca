"""README and how-tos as a reader follows them: in an unpacked BeamHub, command by command."""

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from portals import ROOT, free_port

from tests.shell_blocks import ShellBlock, all_blocks, blocks_of

pytestmark = [pytest.mark.portal, pytest.mark.slow, pytest.mark.timeout(1800)]

MADE = (".*cache", ".git", ".venv", "__pycache__", "_build", "artefacts", "dist", "node_modules")
"""What no archive and no clone of BeamHub has."""
READY = "Ctrl-C ends"
TUTORIAL = ROOT / "docs/tutorials/administrator.md"
SERVING = re.compile(r"scripts/demo|.*/beamhub serve\b")


class Reader:
    """Somebody who types commands in BeamHub's folder.

    Parameters
    ----------
    folder : Path
        BeamHub's folder.
    state : Path
        What the portal keeps, environments that other tests have made among it.
    """

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder = folder
        self.home = folder.parent / "home"
        self.environment = {**os.environ, "BEAMHUB_STATE": str(state)}

    def type(self, command: str) -> str:
        """Run a command to its end and return what it said, whatever its exit status is."""
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return f"{done.stdout}\nexit status {done.returncode}"

    def serve(self, command: str) -> str:
        """Start a portal, end it by Ctrl-C once it is ready, and return what it said."""
        with subprocess.Popen(
            ["sh", "-c", f"exec {command} --port {free_port()}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as portal:
            assert portal.stdout
            said = []
            for line in portal.stdout:
                said.append(line)
                if READY in line:
                    portal.send_signal(signal.SIGINT)
        return f"{''.join(said)}\nexit status {portal.returncode}"

    def follow(self, block: ShellBlock) -> None:
        """Type all commands of a block, with another home than that of who runs the tests."""
        for line in block.commands:
            command = line.replace("~/", f"{self.home}/")
            said = self.serve(command) if SERVING.match(command) else self.type(command)
            assert said.endswith("exit status 0"), f"{block}: {command}\n{said}"
            assert "Traceback" not in said


@pytest.fixture(scope="module")
def reader(
    tmp_path_factory: pytest.TempPathFactory, state_folder: Callable[[], Path]
) -> Iterator[Reader]:
    """A reader who has unpacked BeamHub and typed the first command of README."""
    folder = tmp_path_factory.mktemp("reader") / "beamhub"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*MADE), symlinks=True)
    for path in (folder.parent, folder.parent.parent, folder.parent.parent.parent):
        path.chmod(path.stat().st_mode | 0o055)
    made = Reader(folder, state_folder())
    first = next(iter(blocks_of(ROOT / "README.md"))).commands[0]
    assert first == "scripts/demo"
    said = made.serve(first)
    assert said.endswith("exit status 0"), said
    yield made
    shutil.rmtree(folder.parent, ignore_errors=True)


@pytest.fixture
def as_unpacked(reader: Reader) -> Iterator[Reader]:
    """The reader, before anything was made by the commands of a page."""
    yield reader
    for made in ("my-site.yaml", "notebooks/my-method"):
        path = reader.folder / made
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@pytest.mark.parametrize("page", sorted({str(b.page) for b in all_blocks() if b.how == "tried"}))
def test_the_commands_of_a_page_work_one_after_another(as_unpacked: Reader, page: str) -> None:
    for block in blocks_of(ROOT / page):
        if block.how == "tried":
            as_unpacked.follow(block)


def test_an_administrators_first_steps(as_unpacked: Reader) -> None:
    """The tutorial with its mistake made, and mended."""
    new, show, check, serve = [block.commands[0] for block in blocks_of(TUTORIAL)]
    shown, mistake, _ = re.findall(r"```yaml\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    finding = re.findall(r"```text\n(.*?)\n```", TUTORIAL.read_text(), re.DOTALL)[0]
    profile = as_unpacked.folder / "my-site.yaml"
    as_unpacked.type(new)
    assert profile.read_text() == shown
    assert as_unpacked.type(show).endswith("exit status 0")
    profile.write_text(shown + mistake)
    assert finding in as_unpacked.type(check)
    profile.write_text(shown + mistake.replace("severs", "servers"))
    assert "All is well." in as_unpacked.type(check)
    assert as_unpacked.serve(serve).endswith("exit status 0")


@pytest.mark.parametrize("site", ["workstation", "hpc"])
def test_docker_and_slurm_need_no_more_packages(reader: Reader, site: str) -> None:
    said = reader.type(f".venv/bin/beamhub check {site}")
    assert "Not installed here" not in said
    assert "Traceback" not in said
    assert "✓ site profile" in said


def test_what_is_missing_comes_by_the_command_that_is_told(reader: Reader) -> None:
    said = reader.type(".venv/bin/beamhub check compose")
    assert "Traceback" not in said
    [remedy] = re.findall(r"needed: psycopg\. To install: (.+)", said)
    assert Path(shlex.split(remedy)[0]).is_relative_to(reader.folder)
    assert reader.type(remedy).endswith("exit status 0")
    assert "Not installed here" not in reader.type(".venv/bin/beamhub check compose")
