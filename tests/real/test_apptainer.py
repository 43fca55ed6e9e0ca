"""Servers as jobs in image files of a real Apptainer: what they see, and what is said where not.

Where a machine has no Apptainer, test_trixie.py runs this in a container that has it.
"""

import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cluster import HUB, Cluster, wait_until
from conftest import DEBIAN, REGISTRY
from kernels import Kernel
from portals import BEAMHUB, PATIENCE_S, RunningPortal
from starts import failing_start
from websockets.sync.client import connect

from hub.images.sif import FAST
from spawners.slurm.image_files import image_file, labels_of, note_beside, origin_of

pytestmark = [pytest.mark.portal, pytest.mark.slow, pytest.mark.slurm, pytest.mark.timeout(600)]
HOSTILE = 'It\'s $(touch /tmp/beamhub-hostile) `id` "$HOME"'
DATA = Path("/srv/beamhub-test-data")


@pytest.fixture(scope="module", autouse=True)
def data() -> Iterator[Path]:
    """A folder of the site's for servers to read, and one to write into."""
    for name in ("reference", "scratch"):
        (DATA / name).mkdir(parents=True, exist_ok=True)
        (DATA / name).chmod(0o777)
    (DATA / "reference/known.txt").write_text("1.54")
    yield DATA
    shutil.rmtree(DATA)


@pytest.fixture(scope="module")
def portal(
    cluster: Cluster, image_files: Path, data: Path, state_folder: Callable[[], Path]
) -> Iterator[RunningPortal]:
    """A portal of a site with folders, and with a title that a shell could take for more."""
    profile = cluster.profile(
        title=HOSTILE,
        registry=REGISTRY,
        backend=cluster.backend(software=software(image_files)),
        data={"roots": [str(data / "reference")]},
        storage=[{"source": str(data / "scratch"), "target": "/scratch", "read_only": False}],
    )
    running = cluster.portal(state_folder(), profile=profile)
    yield running
    running.stop()


def software(folder: Path) -> dict[str, str]:
    return {"kind": "apptainer", "folder": str(folder)}


@pytest.fixture(scope="module")
def client(portal: RunningPortal) -> Iterator[httpx.Client]:
    """Somebody with a running server."""
    client = portal.login("ada")
    portal.start_server(client, "pyfai", size="small")
    yield client
    portal.stop_server(client, "pyfai")


@pytest.fixture(scope="module")
def kernel(portal: RunningPortal, client: httpx.Client) -> Kernel:
    return Kernel(portal, client, "/user/ada/pyfai/")


def test_a_file_tells_what_it_was_made_from(image_files: Path) -> None:
    file = image_file(image_files, "pyfai", "1.0.0")
    known = origin_of(file)
    command = ["docker", "image", "inspect", "--format={{.Id}}", f"{REGISTRY}/pyfai:1.0.0"]
    docker_has = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    assert known and known.id == docker_has
    assert labels_of(file)["org.beamhub.use-case"] == "pyfai"
    assert oct(file.stat().st_mode & 0o777) == "0o644"
    assert sorted(p.name for p in image_files.glob(".*")) == []


def test_one_that_is_there_is_left_as_it_is(cluster: Cluster, image_files: Path) -> None:
    file = image_file(image_files, "pyfai", "1.0.0")
    before = file.stat()
    done = sif(cluster, "pyfai", f"--to={image_files}")
    assert f"{file}  as before, of {REGISTRY}/pyfai:1.0.0" in done.stdout, done.stderr
    assert (file.stat().st_ino, file.stat().st_mtime) == (before.st_ino, before.st_mtime)


def sif(cluster: Cluster, *arguments: object) -> subprocess.CompletedProcess[str]:
    profile = cluster.profile(registry=REGISTRY)
    command = [BEAMHUB, "images", "sif", f"--site={profile}", f"--state={cluster.folder}/images"]
    environment = {**os.environ, "COLUMNS": "400"}
    return subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment)


def test_a_file_of_another_image_is_not_made_into_one(cluster: Cluster, tmp_path: Path) -> None:
    archive = tmp_path / "debian.tar"
    subprocess.run(["docker", "save", f"--output={archive}", DEBIAN], check=True)
    done = sif(cluster, "pyfai", f"--to={tmp_path}", f"--archive={archive}")
    assert done.returncode == 1
    assert f"holds {DEBIAN}, not {REGISTRY}/pyfai:1.0.0" in done.stderr
    assert not list(tmp_path.glob("*.sif*"))


def test_nothing_is_left_where_apptainer_fails(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(
        json.dumps([{"Config": "0.json", "RepoTags": [f"{REGISTRY}/pyfai:1.0.0"], "Layers": []}])
    )
    archive = tmp_path / "broken.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "manifest.json", "manifest.json")
    (tmp_path / "files").mkdir()
    done = sif(cluster, "pyfai", f"--to={tmp_path}/files", f"--archive={archive}")
    assert done.returncode == 1
    assert "Apptainer could not make the image file" in done.stderr
    assert "FATAL:" in done.stderr
    assert list((tmp_path / "files").iterdir()) == []


def test_it_knows_its_image_and_its_job(
    kernel: Kernel, image_files: Path, cluster: Cluster
) -> None:
    code = """
import os, json
names = ("BEAMHUB_IMAGE", "SLURM_JOB_ID", "SLURM_JOB_END_TIME", "BEAMHUB_SITE")
print(json.dumps({name: os.environ.get(name) for name in names}))
"""
    told = json.loads(kernel.run(code))
    known = origin_of(image_file(image_files, "pyfai", "1.0.0"))
    assert known and told["BEAMHUB_IMAGE"] == known.image
    assert told["SLURM_JOB_ID"] == cluster.job_of("ada")
    assert 0 < int(told["SLURM_JOB_END_TIME"]) - time.time() < 8 * 3600
    assert told["BEAMHUB_SITE"] == HOSTILE
    assert not Path("/tmp/beamhub-hostile").exists()


def test_of_the_node_it_sees_what_is_meant_and_no_more(
    kernel: Kernel, cluster: Cluster, data: Path
) -> None:
    code = f"""
import os
from pathlib import Path

def writable(path):
    try:
        (Path(path) / ".beamhub-test").write_text("x")
        (Path(path) / ".beamhub-test").unlink()
        return True
    except OSError:
        return False

home = Path.home()
print(writable(home), writable("/tmp"), writable("/var/tmp"), writable("/scratch"))
print(writable("{data}/reference"), writable("/opt"), writable("/etc"), writable("/"))
print(Path("{data}/reference/known.txt").read_text(), os.listdir(home.parent) == [home.name])
print([p for p in ("/beamhub", "{cluster.conf}", "{cluster.shared}") if Path(p).exists()])
commands = [Path(f"/proc/{{p}}/cmdline").read_text() for p in os.listdir("/proc") if p.isdigit()]
daemons = [c for c in commands if "slurmd" in c or "slurmstepd" in c]
print(daemons, os.statvfs("/dev/shm").f_blocks > 2**15)
"""
    assert kernel.run(code).splitlines() == [
        "True True True True",
        "False False False False",
        "1.54 True",
        "[]",
        "[] True",
    ]


def test_its_secret_is_its_users_alone(kernel: Kernel, portal: RunningPortal) -> None:
    secret = kernel.run("import os; print(os.environ['JUPYTERHUB_API_TOKEN'])").strip()
    assert len(secret) == 32
    processes = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True).stdout
    assert "apptainer" in processes.lower()
    assert secret not in processes + portal.log()
    script = f"cat /proc/*/environ /proc/*/cmdline 2>/dev/null | grep -c {secret}"
    as_eve = ["setpriv", "--reuid=eve", "--regid=eve", "--clear-groups", "sh", "-c", script]
    found = subprocess.run(as_eve, capture_output=True, text=True)
    # grep finds itself, and the shell that runs it.
    mine = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    assert int(found.stdout) < int(mine.stdout)


def test_a_program_with_a_window_starts_on_its_desktop(
    portal: RunningPortal, client: httpx.Client, kernel: Kernel
) -> None:
    page = client.get("/user/ada/pyfai/beamhub/app/pyfai-calib2")
    assert page.url.path == "/user/ada/pyfai/desktop/", page.text
    cookies = "; ".join(f"{c.name}={c.value}" for c in client.cookies.jar)
    url = f"{portal.url.replace('http', 'ws')}/user/ada/pyfai/desktop-websockify/"
    headers = {"Cookie": cookies, "Origin": portal.url}
    with connect(
        url, additional_headers=headers, subprotocols=["binary"], open_timeout=PATIENCE_S
    ) as screen:
        assert bytes(screen.recv(timeout=PATIENCE_S)).startswith(b"RFB ")
        code = "import subprocess as s; print(s.run(['ps', 'axww'], capture_output=True).stdout)"
        end = time.monotonic() + PATIENCE_S
        while "pyFAI-calib2" not in (processes := kernel.run(code)):
            assert time.monotonic() < end, processes
            time.sleep(1)
    assert "openbox" in processes


# What is missing.


@pytest.fixture(scope="module")
def other_files(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Image files of another version, and one without the workbench."""
    folder = cluster.folder / "sif"
    folder.mkdir()
    archive = tmp_path_factory.mktemp("debian") / "image.tar"
    subprocess.run(["docker", "save", f"--output={archive}", DEBIAN], check=True)
    file = image_file(folder, "pymca", "1.0.0")
    command = ["apptainer", "build", FAST, file, f"docker-archive:{archive}"]
    subprocess.run(command, check=True, capture_output=True)
    shutil.copy(file, image_file(folder, "pyfai", "0.9.0"))
    return folder


@pytest.fixture(scope="module")
def poor_portal(
    cluster: Cluster, other_files: Path, state_folder: Callable[[], Path]
) -> Iterator[RunningPortal]:
    profile = cluster.profile(backend=cluster.backend(software=software(other_files)))
    running = cluster.portal(state_folder(), profile=profile)
    yield running
    running.stop()


def test_a_missing_file_is_said_on_its_page_with_what_is_there_and_whom_to_ask(
    poor_portal: RunningPortal, other_files: Path
) -> None:
    page = poor_portal.login("eve").get("/hub/usecases/pyfai").text
    text = " ".join(re.sub(r"<[^>]+>", "", page).split()).replace("&#39;", "'")
    file = image_file(other_files, "pyfai", "1.0.0")
    assert f"There is no image file {file} of version 1.0.0, only of version 0.9.0." in text
    assert "An administrator makes it with 'beamhub images sif pyfai'. Ask " in text


def test_a_file_without_the_workbench_is_said(
    poor_portal: RunningPortal, other_files: Path
) -> None:
    client = poor_portal.login("eve")
    page = failing_start(client, "pymca", "eve")
    file = image_file(other_files, "pymca", "1.0.0")
    assert f"The image file {file} can't be run on its node, or there is no BeamHub" in page
    assert '"python": executable file not found' in page


@pytest.fixture(scope="module")
def bare_portal(
    cluster: Cluster, image_files: Path, state_folder: Callable[[], Path]
) -> Iterator[RunningPortal]:
    """One whose nodes lack a folder, and for pyFAI's jobs Apptainer too."""
    programs = cluster.folder / "programs"
    programs.mkdir()
    backend = cluster.backend(
        software=software(image_files),
        prologue=f"[ $SLURM_JOB_USER = fred ] && PATH={programs}",
    )
    storage = [{"source": "/gpfs/nowhere", "target": "/gpfs/nowhere"}]
    profile = cluster.profile(backend=backend, storage=storage)
    running = cluster.portal(state_folder(), profile=profile)
    yield running
    running.stop()


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("fred", "The node that it was sent to has no command 'apptainer'"),
        ("sue", "The node that it was sent to has no folder /gpfs/nowhere"),
    ],
)
def test_what_a_node_lacks_is_said_at_once(
    bare_portal: RunningPortal, cluster: Cluster, user: str, words: str
) -> None:
    page = failing_start(bare_portal.login(user), "pyfai", user)
    assert words in page
    assert "send the details to" in page
    wait_until(lambda: cluster.job_of(user) == "", "the end of the job")


def test_a_file_that_a_node_can_not_read_is_said(
    apptainer_portal: RunningPortal, image_files: Path
) -> None:
    file = image_file(image_files, "pyfai", "1.0.0")
    file.chmod(0o600)
    try:
        page = failing_start(apptainer_portal.login("quentin"), "pyfai", "quentin")
    finally:
        file.chmod(0o644)
    assert f"The node that it was sent to can't read the image file {file}" in page


def test_a_home_that_can_not_be_written_is_said_from_inside(
    apptainer_portal: RunningPortal, cluster: Cluster
) -> None:
    home = cluster.folder / "homes/olaf"
    home.chmod(0o500)
    try:
        page = failing_start(apptainer_portal.login("olaf"), "pyfai", "olaf")
    finally:
        home.chmod(0o700)
    assert "is yours, but its mode forbids you to use it. Change that: chmod u+rwx" in page


def check(cluster: Cluster, folder: Path, offered: list[str]) -> str:
    """Return what the portal's account is told of a site's image files."""
    return cluster.check(HUB, {"software": software(folder)}, use_cases=offered).stdout


def test_check_tells_what_is_wrong_with_image_files(
    cluster: Cluster, image_files: Path, other_files: Path
) -> None:
    assert "All is well" in check(cluster, image_files, ["pyfai"])
    file = image_file(other_files, "pymca", "1.0.0")
    shutil.copy(image_file(image_files, "pyfai", "1.0.0"), file)
    note_beside(file).write_text('{"image": "a/b:1", "id": "sha256:0", "size_bytes": 7}')
    file.chmod(0o640)
    said = check(cluster, other_files, ["pyfai", "pymca"])
    assert "of version 1.0.0, only of version 0.9.0" in said
    assert f"Other accounts can't read {file}, so no job could: chmod 644 {file}" in said
    assert f"{file} isn't the file that was noted beside it" in said
    file.chmod(0o644)
    assert f"{file} holds 'pyfai' of version 1.0.0." in check(cluster, other_files, ["pymca"])
