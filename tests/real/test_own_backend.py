"""A backend in a package of its own: one class and one entry, and its servers start."""

import sysconfig
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kernels import Kernel
from portals import RunningPortal

pytestmark = [pytest.mark.portal, pytest.mark.slow]

PACKAGE = '''
from typing import ClassVar, Literal

from spawners import Backend
from spawners.process import EnvironmentSpawner


class ForeignSpawner(EnvironmentSpawner):
    """Leaves a mark in each server."""

    def get_env(self):
        return {**super().get_env(), "STARTED_BY": "a foreign package"}


class ForeignBackend(Backend):
    """Servers that another package starts."""

    spawner_class: ClassVar[str] = "foreign.ForeignSpawner"
    title: ClassVar[str] = "Servers of a foreign package"
    outlives_hub: ClassVar[bool] = False
    on_this_machine: ClassVar[bool] = True
    kind: Literal["foreign"]
    greeting: str

    def configured(self, portal):
        return {
            "portal": portal.identity,
            "workbench_folder": str(portal.workbench_folder),
            "constraints_file": str(portal.constraints_file),
            "sockets_folder": str(portal.sockets_folder),
        }

    def traits(self, launch):
        return {
            "use_case_folder": str(launch.folder),
            "cpu_limit": launch.resources.cores,
            "mem_limit": f"{launch.resources.memory_gib:g}G",
            "environment": {**launch.environment, "GREETING": self.greeting},
            "default_url": launch.start_page,
            "start_timeout": 600,
        }
'''
PROFILE = """
extends: _defaults
title: A site with a backend of its own
contact: the person who tests
login: {kind: codes}
backend: {kind: foreign, greeting: good morning}
"""


@pytest.fixture(scope="module")
def python(state_folder: Callable[[], Path]) -> Path:
    """An environment in which the package is installed beside BeamHub."""
    folder = state_folder()
    venv.create(folder / "venv")
    [packages] = folder.glob("venv/lib/python*/site-packages")
    ours = sysconfig.get_path("purelib")
    (packages / "beside.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    (packages / "foreign.py").write_text(PACKAGE)
    about = packages / "foreign-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
    entry = "[beamhub.backends]\nforeign = foreign:ForeignBackend\n"
    (about / "entry_points.txt").write_text(entry)
    (folder / "foreign.yaml").write_text(PROFILE)
    return folder / "venv/bin/python"


@pytest.fixture(scope="module")
def foreign_portal(python: Path, state_folder: Callable[[], Path]) -> Iterator[RunningPortal]:
    profile = python.parents[2] / "foreign.yaml"
    running = RunningPortal(state_folder(), str(profile), prefix=(str(python),))
    yield running
    running.stop()


def test_its_servers_start_and_are_what_it_makes_of_them(foreign_portal: RunningPortal) -> None:
    client = foreign_portal.login("ada")
    assert "Servers of a foreign package" in client.get("/hub/about").text
    foreign_portal.start_server(client, "pyfai", size="small")
    kernel = Kernel(foreign_portal, client, "/user/ada/pyfai/")
    said = kernel.run("import os; print(os.environ['STARTED_BY'], os.environ['GREETING'])")
    assert said == "a foreign package good morning\n"
