"""What a release holds, and the portal that `pip install 'beamhub[portal]'` makes of it."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from portals import ROOT, RunningPortal

pytestmark = [pytest.mark.portal, pytest.mark.slow]

VERSION = metadata.version("beamhub")
UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a release, which is a local index too."""
    folder = tmp_path_factory.mktemp("release")
    subprocess.run([ROOT / "scripts/release", "--trial", folder], check=True)
    return folder


class Installed:
    """An environment of its own, somewhere that isn't a checkout.

    Parameters
    ----------
    folder : Path
        Where it lies.
    release : Path
        Where BeamHub is taken from; other packages come from the index or uv's cache.
    """

    def __init__(self, folder: Path, release: Path) -> None:
        self.folder = folder
        self.release = release
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)

    def install(self, what: str) -> None:
        """Install packages, with the versions of the release."""
        subprocess.run(
            [
                *(UV, "pip", "install", "--quiet", "--python", self.folder),
                *("--find-links", self.release, what),
                *("--constraint", self.release / f"beamhub-{VERSION}-constraints.txt"),
            ],
            check=True,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, and return what it said."""
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        return subprocess.run(
            [self.folder / "bin" / arguments[0], *arguments[1:]],
            cwd=self.folder,
            env={**os.environ, "PATH": path, "BEAMHUB_STATE": f"{self.folder}/state"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture(scope="module")
def bare(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """BeamHub without any extra, as in the environment of a user's server."""
    folder = tmp_path_factory.mktemp("installed")
    for path in (folder, *folder.parents[:3]):
        path.chmod(path.stat().st_mode | 0o055)
    made = Installed(folder / "venv", release)
    made.install(f"beamhub=={VERSION}")
    yield made


@pytest.fixture(scope="module")
def installed(bare: Installed) -> Installed:
    """BeamHub with what a portal needs."""
    bare.install(f"beamhub[portal]=={VERSION}")
    return bare


@pytest.mark.parametrize("command", ["serve laptop", "check laptop", "run pyfai"])
def test_without_the_extra_every_command_says_how_to_get_it(bare: Installed, command: str) -> None:
    done = bare.run("beamhub", *command.split())
    assert done.returncode == 1
    said = done.stdout.strip().splitlines()[-1]
    assert "Not installed here, and needed: " in said
    assert said.endswith("To install: pip install 'beamhub[portal]'")
    assert "Traceback" not in done.stdout


def test_the_files_of_a_release(release: Path) -> None:
    assert {path.name for path in release.iterdir()} == {
        f"beamhub-{VERSION}-py3-none-any.whl",
        f"beamhub-{VERSION}.tar.gz",
        f"beamhub-{VERSION}-constraints.txt",
        f"beamhub-{VERSION}.cdx.json",
        "SHA256SUMS",
    }
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=release, check=True)
    listed = json.loads((release / f"beamhub-{VERSION}.cdx.json").read_text())
    versions = {part["name"]: part.get("version") for part in listed["components"]}
    assert versions["beamhub"] == VERSION
    assert {"dockerspawner", "batchspawner", "jupyterhub", "psycopg"} <= versions.keys()


def test_another_backend_is_missing_by_name(installed: Installed) -> None:
    done = installed.run("beamhub", "check", "workstation")
    assert done.returncode == 1
    assert "needed: dockerspawner. To install: pip install 'beamhub[docker]'" in done.stdout
    assert "Traceback" not in done.stdout


def test_it_serves_a_portal_outside_of_a_checkout(
    installed: Installed, state_folder: Callable[[], Path]
) -> None:
    said = installed.run("beamhub", "check", "laptop").stdout
    for remedy in re.findall(r"by hand: (npm install .+)", said):  # none where the system has it
        assert installed.run(*shlex.split(remedy)).returncode == 0
    checked = installed.run("beamhub", "check", "laptop")
    assert checked.returncode == 0, checked.stdout
    program = installed.folder / "bin/beamhub"
    portal = RunningPortal(state_folder(), folder=installed.folder, program=program)
    try:
        page = portal.login("ada").get("/hub/usecases").text
        for use_case in ("pyfai", "crystfel", "ptycho"):
            assert f"/hub/usecases/{use_case}" in page
    finally:
        portal.stop()
