"""Real portals, a real browser. What they leave on the machine is taken away again."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NoReturn

import pytest
from cluster import MODULES, Cluster, missing, wait_until
from kube import Kube, programs
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright
from portals import BEAMHUB, PATIENCE_S, ROOT, RunningPortal
from slapd import Slapd
from slapd import missing as slapd_lacks

from hub.state import LOCK

collect_ignore = [
    # Where these programs aren't, test_trixie.py runs them in a container that has them.
    *([] if shutil.which("apptainer") else ["test_apptainer.py"]),
    *([] if MODULES.exists() else ["test_modules.py"]),
]
DEBIAN = "debian:trixie-slim"
ADDRESSES = f"10.{100 + os.getpid() % 100}.0.0/16"
REGISTRY = "127.0.0.1:9/beamhub"
"""Of sites whose images are built here: nobody answers there, so a pull fails at once."""


def lacking(what: str) -> NoReturn:
    """Skip what needs something that isn't here, or fail where everything has to be."""
    if os.environ.get("BEAMHUB_TEST_ALL"):
        pytest.fail(f"{what}, and BEAMHUB_TEST_ALL is set")
    pytest.skip(what)


def accounts_in(folders: list[Path]) -> list[str]:
    """Return the accounts that portals made for users whose homes are in these folders."""
    homes = {entry.pw_name: Path(entry.pw_dir) for entry in pwd.getpwall()}
    return [name for name, home in homes.items() if any(map(home.is_relative_to, folders))]


@pytest.fixture(scope="session")
def state_folder() -> Iterator[Callable[[], Path]]:
    """Makes state folders that other accounts may pass, and takes all away at the end."""
    folders: list[Path] = []
    given = os.environ.get("BEAMHUB_TEST_ENVIRONMENTS")
    shared = Path(given or tempfile.mkdtemp(prefix="beamhub-test-"))
    shared.chmod(0o755)

    def make() -> Path:
        """A state that a portal has used before, whose environments are everybody's."""
        folders.append(Path(tempfile.mkdtemp(prefix="beamhub-test-")))
        folders[-1].chmod(0o711)
        (folders[-1] / LOCK).touch()
        (folders[-1] / "environments").symlink_to(shared)
        return folders[-1]

    yield make
    for name in accounts_in(folders):
        subprocess.run(["userdel", name], check=False, capture_output=True)
    for folder in folders if given else (shared, *folders):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def portal(state_folder: Callable[[], Path]) -> Iterator[RunningPortal]:
    """One portal for all tests that leave it as it is."""
    running = RunningPortal(state_folder())
    yield running
    running.stop()


@pytest.fixture(scope="session")
def docker_site(docker: "Docker") -> Iterator[Path]:
    """A site with Docker whose images are there; what its users leave is taken away again."""
    prefix = f"bht{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="bh-site-") as folder:
        profile = Path(folder) / "docker.yaml"
        profile.write_text(
            "extends: workstation\ntitle: Containers\nlogin: {kind: codes}\n"
            f"backend: {{kind: docker, prefix: {prefix}, addresses: {ADDRESSES}}}\n"
            f"registry: {REGISTRY}\nlimits: {{servers: 9}}\n"
            "sizes: {tiny: {title: Tiny, cores: 1, memory_gib: 2, walltime_h: 1}}\n"
        )
        command = [BEAMHUB, "images", "build", "pyfai", "pymca", f"--state={folder}/state"]
        subprocess.run([*command, f"--site={profile}"], check=True)
        yield profile
        remove_all_of(prefix)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry on this machine, which Docker talks to without TLS."""
    if not shutil.which("docker-registry"):
        lacking("there is no docker-registry on this machine")
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/images}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\nlog: {{level: error}}\n"
    )
    with subprocess.Popen(["docker-registry", "serve", config]) as process:
        yield f"127.0.0.1:{port}/beamhub"
        process.terminate()


def remove_all_of(prefix: str) -> None:
    """Take away containers, networks and volumes whose names begin so."""
    for list_, remove in (
        (["ps", "--all"], ["rm", "--force"]),
        (["network", "ls"], ["network", "rm"]),
        (["volume", "ls"], ["volume", "rm"]),
    ):
        command = ["docker", *list_, "--quiet", f"--filter=name=^{prefix}"]
        names = subprocess.run(command, capture_output=True, text=True).stdout.split()
        if names:
            subprocess.run(["docker", *remove, *names], capture_output=True)


@pytest.fixture(scope="session")
def docker_portal(docker_site: Path, state_folder: Callable[[], Path]) -> Iterator[RunningPortal]:
    """A portal that starts servers in containers."""
    running = RunningPortal(state_folder(), str(docker_site))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium of its own for each module: Playwright's event loop must not outlive it."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        lacking("there is no chromium on this machine")
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=PATIENCE_S * 1000)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=["--disable-gpu", "--disable-quic", *quiet, *sandbox]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 900})
    made.set_default_timeout(PATIENCE_S * 1000)
    yield made
    made.close()


@pytest.fixture(scope="session")
def docker() -> Iterator["Docker"]:
    """A Docker daemon that builds: the one that answers, or, for root, one of the tests' own."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        # Another client that comes first on the PATH may lack its plugin for builds.
        if not builds() and Path("/usr/bin/docker").exists():
            patch.setenv("PATH", "/usr/bin", prepend=os.pathsep)
        found = Docker(own=not answers())
        if found.own:
            if os.geteuid() != 0 or not shutil.which("dockerd"):
                lacking("no Docker daemon answers, and none can be started")
            stack.callback(found.stop)
            found.start()
            patch.setenv("DOCKER_HOST", found.address)
        if not builds():
            lacking("this Docker has no plugin to build with")
        if subprocess.run(["docker", "image", "inspect", DEBIAN], capture_output=True).returncode:
            if os.geteuid() != 0:
                lacking(f"there is no image {DEBIAN}, which only root can make without a registry")
            subprocess.run([ROOT / "scripts/debian-base"], check=True)
        yield found


def answers() -> bool:
    """Return whether there is a Docker daemon."""
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "version"], capture_output=True).returncode == 0


def builds() -> bool:
    """Return whether the Docker client can build: before version 23 by itself, then by a plugin."""
    if not shutil.which("docker"):
        return False
    command = ["docker", "version", "--format", "{{.Client.Version}}"]
    version = subprocess.run(command, capture_output=True, text=True).stdout
    plugin = subprocess.run(["docker", "buildx", "version"], capture_output=True)
    return plugin.returncode == 0 or int(version.partition(".")[0] or 99) < 23


CONTAINERS = {"cpu/docker/cpu.shares": "6144", "docker/cpu.weight": "600"}
"""Six times what a session of processes has, in both versions of control groups."""


def favour_containers() -> None:
    """Let builds go on beside other tests: for the kernel all containers are one among many."""
    for place, value in CONTAINERS.items():
        file = Path("/sys/fs/cgroup", place)
        with suppress(OSError):
            file.parent.mkdir(exist_ok=True)
            file.write_text(value)


class Docker:
    """The tests' daemon; one of their own keeps what it has built for the next time."""

    def __init__(self, *, own: bool) -> None:
        self.own = own
        self.process: subprocess.Popen[bytes] | None = None
        self.scratch = Path(tempfile.mkdtemp(prefix="bh-docker-")) if own else Path("/nonexistent")
        self.address = f"unix://{self.scratch}/socket"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        cache = Path(os.environ.get("BEAMHUB_CACHE", "/var/cache/beamhub"))
        folders = [f"--data-root={cache}/docker", f"--exec-root={self.scratch}/run"]
        command = ["dockerd", f"--host={self.address}", f"--pidfile={self.scratch}/pid", *folders]
        with (self.scratch / "log").open("a") as log:
            # In a session of its own: what lies in one shares a processor's time as one.
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        favour_containers()
        ready = ["docker", "--host", self.address, "version"]
        for _ in range(int(PATIENCE_S)):
            if subprocess.run(ready, capture_output=True).returncode == 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(1)
        pytest.fail((self.scratch / "log").read_text()[-2000:])

    def stop(self) -> None:
        """End it, and all containers with it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)


@pytest.fixture(scope="session")
def slapd() -> Iterator[Slapd]:
    """A directory of accounts of the tests' own."""
    if programs := slapd_lacks():
        lacking(f"this machine lacks {', '.join(programs)}")
    made = Slapd()
    try:
        made.make()
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A Slurm cluster of the tests' own."""
    if os.geteuid() != 0:
        lacking("only root can start a Slurm cluster")
    if programs := missing():
        lacking(f"this machine lacks {', '.join(programs)}")
    with pytest.MonkeyPatch.context() as patch:
        made = Cluster()
        patch.setenv("SLURM_CONF", str(made.conf))
        try:
            made.start()
            yield made
        finally:
            made.stop()


@pytest.fixture(scope="session")
def slurm_portal(cluster: Cluster, state_folder: Callable[[], Path]) -> Iterator[RunningPortal]:
    """A portal with an account of its own, whose servers are jobs."""
    running = cluster.portal(state_folder())
    yield running
    running.stop()


@pytest.fixture(scope="session")
def pyfai_archive(request: pytest.FixtureRequest) -> Iterator[Path]:
    """An archive of pyFAI's image: that which BEAMHUB_PYFAI_ARCHIVE names, or one of Docker's."""
    if named := os.environ.get("BEAMHUB_PYFAI_ARCHIVE"):
        yield Path(named)
        return
    request.getfixturevalue("docker_site")
    with tempfile.TemporaryDirectory(prefix="bh-archive-") as folder:
        archive = Path(folder) / "pyfai.tar"
        image = f"{REGISTRY}/pyfai:1.0.0"
        subprocess.run(["docker", "save", f"--output={archive}", image], check=True)
        yield archive


@pytest.fixture(scope="session")
def kube(request: pytest.FixtureRequest) -> Iterator[Kube]:
    """A Kubernetes cluster of the tests' own, with pyFAI's image on its node."""
    folder = programs()
    if folder is None or os.geteuid() != 0:
        pytest.skip("BEAMHUB_KUBERNETES names no folder for a cluster's programs, or isn't root's")
    archive = request.getfixturevalue("pyfai_archive")
    with pytest.MonkeyPatch.context() as patch:
        made = Kube(folder)
        patch.setenv("KUBECONFIG", str(made.kubeconfig))
        try:
            made.start()
            made.load(archive)
            yield made
        finally:
            made.stop()


@pytest.fixture(scope="session")
def kubernetes_portal(kube: Kube, state_folder: Callable[[], Path]) -> Iterator[RunningPortal]:
    """A portal whose servers are pods."""
    running = kube.portal(state_folder(), REGISTRY)
    yield running
    running.stop()


@pytest.fixture
def full(cluster: Cluster) -> Iterator[str]:
    """A cluster that somebody else has all of, until the test ends."""
    number = cluster.fill()
    yield number
    cluster.run("scancel", number)
    wait_until(cluster.all_idle, "an idle cluster", 120)


@pytest.fixture(scope="session")
def image_files(cluster: Cluster, request: pytest.FixtureRequest) -> Path:
    """A folder with pyFAI's image file, made from Docker's image of it."""
    image = f"{REGISTRY}/pyfai:1.0.0"
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode:
        request.getfixturevalue("docker_site")
    folder = Path(os.environ.get("BEAMHUB_CACHE", cluster.folder)) / "sif"
    folder.mkdir(exist_ok=True, parents=True)
    folder.chmod(0o755)
    profile = cluster.profile(registry=REGISTRY)
    command = [BEAMHUB, "images", "sif", "pyfai", f"--site={profile}", f"--to={folder}"]
    subprocess.run([*command, f"--state={cluster.folder}/images"], check=True)
    return folder


@pytest.fixture(scope="session")
def apptainer_portal(
    cluster: Cluster, image_files: Path, state_folder: Callable[[], Path]
) -> Iterator[RunningPortal]:
    """A portal whose servers are jobs in image files."""
    profile = cluster.profile(
        registry=REGISTRY,
        backend=cluster.backend(software={"kind": "apptainer", "folder": str(image_files)}),
    )
    running = cluster.portal(state_folder(), profile=profile)
    yield running
    running.stop()
