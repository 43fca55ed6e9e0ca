"""Servers as jobs that load environment modules, by the real command.

Where a machine has no such command, test_trixie.py runs this in a container that has it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster import MODULES, Cluster, wait_until
from kernels import Kernel
from portals import RunningPortal
from starts import failing_start

from hub.usecases import NOTEBOOKS, load_use_cases

pytestmark = [pytest.mark.portal, pytest.mark.slow, pytest.mark.slurm, pytest.mark.timeout(600)]
MANIFEST = load_use_cases([NOTEBOOKS])["pyfai"].manifest
MODULE = """\
#%Module1.0
prepend-path PATH {environment}/bin
setenv VIRTUAL_ENV {environment}
"""


@pytest.fixture(scope="module")
def modules(cluster: Cluster) -> Path:
    """A module of pyFAI's software as a site offers it, and one without the workbench."""
    environment = cluster.make_software()
    folder = cluster.folder / "modules/beamhub"
    (folder / "pyfai").mkdir(parents=True)
    (folder / "pymca").mkdir()
    module = MODULE.format(environment=environment)
    (folder / f"pyfai/{MANIFEST.version}").write_text(module)
    (folder / "pymca/1.0.0").write_text("#%Module1.0\nsetenv NOTHING here\n")
    return folder.parent


@pytest.fixture(scope="module")
def portal(
    cluster: Cluster, modules: Path, state_folder: Callable[[], Path]
) -> Iterator[RunningPortal]:
    """A portal whose jobs load modules; of three people's one thing is missing each."""
    prologue = f"""\
[ $SLURM_JOB_USER = fred ] && unset -f module || {{ . {MODULES}; module use {modules}; }}
[ $SLURM_JOB_USER = sue ] && module unuse {modules}
PATH=/usr/bin:/bin
"""
    software = {
        "kind": "modules",
        "folder": str(cluster.shared),
        "load": ["beamhub/{use_case}/{version}"],
    }
    profile = cluster.profile(backend=cluster.backend(software=software, prologue=prologue))
    running = cluster.portal(state_folder(), profile=profile)
    yield running
    running.stop()


def test_a_server_begins_in_what_a_module_offers(portal: RunningPortal) -> None:
    client = portal.login("ada")
    portal.start_server(client, "pyfai", size="small")
    kernel = Kernel(portal, client, "/user/ada/pyfai/")
    code = """
import os, pyFAI, shutil, workbench
from pathlib import Path
print(pyFAI.version, os.environ["LOADEDMODULES"], os.environ.get("BEAMHUB_IMAGE"))
print((Path.home() / "beamhub/pyfai/01_calibrate.ipynb").exists(), shutil.which("pyFAI-calib2"))
"""
    version = next(s.version for s in MANIFEST.software if s.name == "pyFAI")
    first, second = kernel.run(code).splitlines()
    assert first == f"{version} beamhub/pyfai/{MANIFEST.version} None"
    assert second.startswith("True /")
    assert second.endswith("/bin/pyFAI-calib2")
    portal.stop_server(client, "pyfai")


@pytest.mark.parametrize(
    ("user", "use_case", "words"),
    [
        ("fred", "pyfai", "has no command 'module'"),
        ("sue", "pyfai", f"The module 'beamhub/pyfai/{MANIFEST.version}' can't be loaded"),
        ("eve", "pymca", "The Python of the modules beamhub/pymca/1.0.0 doesn't have BeamHub's"),
    ],
)
def test_what_is_missing_is_said_at_once_and_whom_to_ask(
    portal: RunningPortal, cluster: Cluster, user: str, use_case: str, words: str
) -> None:
    page = failing_start(portal.login(user), use_case, user)
    assert words in page
    assert "send the details to" in page
    wait_until(lambda: cluster.job_of(user) == "", "the end of the job")
    if user == "sue":
        assert "Unable to locate a modulefile" in page
