"""What every started server is, whatever the site's backend: the contract of a running one.

Another backend joins by one line in `SITES`, which names the fixture of its portal.
"""

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from kernels import Kernel, in_a_terminal, socket_to
from kube import programs
from portals import PATIENCE_S, RunningPortal, xsrf
from websockets.exceptions import InvalidStatus

from hub.usecases import NOTEBOOKS, load_use_cases

PYFAI = load_use_cases([NOTEBOOKS])["pyfai"].manifest
SITES = [
    pytest.param("portal", id="local"),
    pytest.param("docker_portal", id="docker", marks=pytest.mark.docker),
    pytest.param("slurm_portal", id="slurm", marks=pytest.mark.slurm),
]
if programs():
    SITES.append(pytest.param("kubernetes_portal", id="kubernetes", marks=pytest.mark.docker))
if shutil.which("apptainer"):
    SITES.append(pytest.param("apptainer_portal", id="apptainer", marks=pytest.mark.slurm))
pytestmark = [pytest.mark.portal, pytest.mark.slow]


@dataclass
class Started:
    """A server that a user has started."""

    portal: RunningPortal
    client: httpx.Client
    user: str
    kernel: Kernel

    @property
    def base(self) -> str:
        return f"/user/{self.user}/pyfai/"


@pytest.fixture(scope="module", params=SITES)
def site(request: pytest.FixtureRequest) -> RunningPortal:
    found: RunningPortal = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def server(site: RunningPortal) -> Iterator[Started]:
    client = site.login("connie")
    site.start_server(client, "pyfai", size="small")
    yield Started(site, client, "connie", Kernel(site, client, "/user/connie/pyfai/"))
    site.stop_server(client, "pyfai")


def test_it_answers_to_its_user_only(server: Started) -> None:
    assert server.client.get(f"{server.base}api/status").status_code == 200
    other = server.portal.login("olaf")
    assert other.get(f"{server.base}api/status").status_code == 403


def test_it_knows_its_place(server: Started) -> None:
    code = """
from workbench import here
print(here().use_case, here().size, here().memory_gib)
"""
    assert server.kernel.run(code).split() == ["pyfai", "small", "4.0"]


def test_the_tutorials_are_there_and_are_the_users_own(server: Started) -> None:
    listing: dict[str, Any] = server.client.get(f"{server.base}api/contents/beamhub/pyfai").json()
    names = {entry["name"] for entry in listing["content"]}
    assert {n.file for n in PYFAI.notebooks} <= names
    code = "import os; print(os.access('beamhub/pyfai/01_calibrate.ipynb', os.W_OK))"
    assert server.kernel.run(f"import os; os.chdir(os.path.expanduser('~')); {code}") == "True\n"


def test_its_software_and_the_workbench_are_there(server: Started) -> None:
    version = next(s.version for s in PYFAI.software if s.name == "pyFAI")
    code = "import pyFAI, workbench; print(pyFAI.version)"
    assert server.kernel.run(code).strip() == version


def test_who_wants_to_install_a_package_is_told_how(server: Started) -> None:
    for said in (
        server.kernel.run("%pip install lmfit"),
        in_a_terminal(server.portal, server.client, server.base, "pip install lmfit"),
    ):
        assert "There is no pip here" in said


def test_the_use_cases_kernel_comes_first_whatever_a_home_holds(server: Started) -> None:
    made = """
import json
from pathlib import Path
for name, program in (("python3", "/usr/bin/python3"), ("bash", "/nowhere"), ("mine", "/nowhere")):
    folder = Path.home() / ".local/share/jupyter/kernels" / name
    folder.mkdir(parents=True, exist_ok=True)
    argv = [program, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Mine", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
"""
    assert server.kernel.run(made) == ""
    mine = Kernel(server.portal, server.client, server.base)
    prefix = server.kernel.run("import sys; print(sys.prefix)")
    assert mine.run("import pyFAI, sys; print(sys.prefix)") == prefix
    listed = server.client.get(f"{server.base}api/kernelspecs").json()["kernelspecs"]
    assert listed["bash"]["spec"]["display_name"] == "Bash"
    token = {"X-XSRFToken": server.client.cookies.get("_xsrf", path=server.base) or ""}
    answer = server.client.post(f"{server.base}api/kernels", headers=token, json={"name": "mine"})
    assert answer.status_code == 409
    assert "The kernel 'mine' can't start: /nowhere: No such file" in answer.json()["message"]
    server.kernel.run("import shutil; shutil.rmtree(Path.home() / '.local/share/jupyter/kernels')")


def test_a_terminal_finds_what_a_notebook_finds(server: Started) -> None:
    found = server.kernel.run("import shutil; print(shutil.which('python'))").strip()
    said = in_a_terminal(server.portal, server.client, server.base, "command -v python")
    assert found.endswith("/bin/python")
    assert found in said


def test_it_runs_as_nobody_of_importance_and_computes_on_its_share(server: Started) -> None:
    code = "import os; print(os.getuid() >= 1000, os.environ['OMP_NUM_THREADS'])"
    assert server.kernel.run(code).split() == ["True", "1"]


def test_secrets_of_the_portal_are_not_in_it(server: Started) -> None:
    code = "import os; print([n for n in os.environ if 'SECRET' in n or 'AUTH_TOKEN' in n])"
    assert server.kernel.run(code).strip() == "[]"


def test_an_array_too_large_ends_no_more_than_the_kernel(server: Started) -> None:
    code = "import numpy as np; a = np.ones(8 * 2**27); print('it fits')"
    try:
        said = server.kernel.run(code, seconds=15)
    except TimeoutError:
        said = "the kernel was ended"
    assert "it fits" not in said
    assert server.client.get(f"{server.base}api/status").status_code == 200
    server.kernel = Kernel(server.portal, server.client, server.base)


def test_files_outlive_the_server(site: RunningPortal) -> None:
    client = site.login("fred")
    site.start_server(client, "pyfai", size="small")
    write = "from pathlib import Path; Path.home().joinpath('mine.txt').write_text('kept')"
    Kernel(site, client, "/user/fred/pyfai/").run(write)
    site.stop_server(client, "pyfai")
    assert "is not running" in client.get("/user/fred/pyfai/lab").text
    site.start_server(client, "pyfai", size="small")
    assert client.get("/user/fred/pyfai/files/mine.txt").text == "kept"
    site.stop_server(client, "pyfai")


def test_a_start_can_be_stopped_and_begun_again(site: RunningPortal) -> None:
    client = site.login("quentin")
    begun = client.get("/hub/open/pyfai")
    client.post("/hub/open/pyfai", data={"_xsrf": xsrf(begun.text), "size": "small"})
    site.stop_server(client, "pyfai")
    site.start_server(client, "pyfai", size="small")
    assert client.get("/user/quentin/pyfai/api/status").status_code == 200
    site.stop_server(client, "pyfai")


def test_a_server_that_is_told_to_end_tells_those_who_have_it_open(site: RunningPortal) -> None:
    client, other = site.login("max"), site.login("olaf")
    site.start_server(client, "pyfai", size="small")
    address = "/user/max/pyfai/beamhub/ending"
    with pytest.raises(InvalidStatus, match="403"), socket_to(site, other, address):
        pass
    with socket_to(site, client, address) as socket:
        stopping = threading.Thread(target=site.stop_server, args=(client, "pyfai"))
        stopping.start()
        assert socket.recv(timeout=PATIENCE_S) == "ending"
    stopping.join()


def test_a_server_that_its_user_shuts_down_is_gone_in_the_hub_too(site: RunningPortal) -> None:
    client = site.login("sue")
    site.start_server(client, "pyfai", size="small")
    base = "/user/sue/pyfai/"
    token = {"X-XSRFToken": client.cookies.get("_xsrf", path=base) or ""}
    assert client.post(f"{base}api/shutdown", headers=token).status_code == 200
    end = time.monotonic() + PATIENCE_S
    while "is not running" not in (page := client.get(f"{base}lab").text):
        assert time.monotonic() < end, page
        time.sleep(1)
    assert "JupyterLab was shut down from inside" in page
    assert "pyfai" not in client.get("/hub/api/users/sue").json()["servers"]
