"""The tests of clusters on Debian trixie: Slurm 24.11, Python 3.13, Apptainer, modules."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from conftest import lacking
from machine import BuildError, Machine

pytestmark = [
    pytest.mark.docker,
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(3000),
]
WITH_APPTAINER = ("test_apptainer", "test_server")
SLURM = {
    "test_slurm_waiting": ("who_waits", "operator_cancels", "free_cluster"),
    "test_slurm_sizes": ("slurm_prints", "slurm_leaves_waiting"),
    "test_slurm_endings": ("running_job_that_is_cancelled",),
    "test_slurm_controller": ("what_slurm_refuses",),
    "test_slurm_walls": ("secret_of_a_server", "sudo_rule", "check_is_green"),
}
"""Of the tests of servers as jobs those that Slurm's own words decide."""


@pytest.fixture(scope="module")
def machine(docker_site: Path) -> Iterator[Machine]:
    if not Path("/dev/fuse").exists():
        lacking("this machine has no /dev/fuse")
    found = Machine()
    try:
        found.start()
        yield found
    except BuildError as error:
        pytest.fail(str(error))
    finally:
        found.stop()


@pytest.fixture(scope="module")
def outcomes(machine: Machine) -> dict[str, list[Element]]:
    """What is told of all tests, which share one cluster."""
    modules = ["test_modules", *SLURM, *([] if machine.lacks else WITH_APPTAINER)]
    files = [f"tests/real/{name}.py" for name in modules]
    names = (name for names in SLURM.values() for name in names)
    chosen = " or ".join(["test_modules.py", "test_apptainer.py", "apptainer", *names])
    return machine.pytest(*files, "-k", chosen)


@pytest.mark.parametrize("module", ["test_modules", *SLURM, *WITH_APPTAINER])
def test_on_trixie(machine: Machine, outcomes: dict[str, list[Element]], module: str) -> None:
    if machine.lacks and module in WITH_APPTAINER:
        pytest.skip(machine.lacks)
    cases = outcomes[module]
    red = {
        case.attrib["name"]: found.text
        for case in cases
        for found in case
        if found.tag in ("failure", "error", "skipped")
    }
    assert not red, "\n\n".join(f"{name}\n{text}" for name, text in red.items())


def test_it_is_slurm_24_11_or_newer(machine: Machine) -> None:
    version = machine.run("slurmctld", "-V").split()[1]
    assert tuple(map(int, version.split(".")[:2])) >= (24, 11)
