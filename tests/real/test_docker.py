"""Servers in containers: what they can't reach, what happens to them, and what pages say of it."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from conftest import ADDRESSES, REGISTRY, Docker
from kernels import Kernel
from lab import run_all, start, stop, verdict_of
from playwright.sync_api import BrowserContext, expect
from portals import BEAMHUB, PATIENCE_S, RunningPortal, log_in, shot, violations, xsrf

from spawners import strays
from spawners.labels import PORTAL_LABEL, USER_LABEL

pytestmark = [
    pytest.mark.docker,
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]
PYFAI = "Powder diffraction with pyFAI"


def said(*command: object) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def container(user: str, use_case: str = "pyfai") -> str:
    """Return the id of a user's container."""
    names = ["--filter", f"name=-{user}--{use_case}$"]
    return said("docker", "ps", "--all", "--quiet", "--no-trunc", *names)


def about(user: str, use_case: str = "pyfai") -> dict:
    found: dict = json.loads(said("docker", "inspect", container(user, use_case)))[0]
    return found


def network(user: str) -> dict:
    """Return what Docker knows of the network in which a user's container is."""
    name = about(user)["Name"].lstrip("/") + "--walls"
    [found] = json.loads(said("docker", "inspect", name))[0]["NetworkSettings"]["Networks"].values()
    assert isinstance(found, dict)
    return found


def servers(client: httpx.Client, user: str) -> dict:
    """Return what the hub believes to be running."""
    answer = client.get(f"/hub/api/users/{user}")
    assert answer.status_code == 200, answer.text
    found: dict = answer.json()["servers"]
    return found


def wait_for_page(client: httpx.Client, path: str, text: str, seconds: float = PATIENCE_S) -> str:
    """Return a page once it says something."""
    end = time.monotonic() + seconds
    while text not in (page := client.get(path).text):
        assert time.monotonic() < end, page
        time.sleep(1)
    return page


@pytest.fixture(scope="module")
def ada(docker_portal: RunningPortal) -> Iterator[httpx.Client]:
    client = docker_portal.login("ada")
    docker_portal.start_server(client, "pyfai", size="tiny")
    yield client
    docker_portal.stop_server(client, "pyfai")


@pytest.fixture(scope="module")
def eve(docker_portal: RunningPortal) -> Iterator[Kernel]:
    client = docker_portal.login("eve")
    docker_portal.start_server(client, "pyfai", size="tiny")
    yield Kernel(docker_portal, client, "/user/eve/pyfai/")
    docker_portal.stop_server(client, "pyfai")


@pytest.mark.browser
def test_a_scientist_opens_it_and_runs_the_first_notebook(
    docker_portal: RunningPortal, context: BrowserContext
) -> None:
    page = context.new_page()
    log_in(page, docker_portal, "tilda")
    start(page, PYFAI)
    run_all(page)
    verdict_of(page)
    shot(page, "jupyterlab-in-a-container", full=False)
    stop(page, docker_portal.url, "pyfai")


# What a container can't do.


def test_it_has_no_rights(ada: httpx.Client, eve: Kernel) -> None:
    status = eve.run("print(open('/proc/self/status').read())")
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {lines[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert lines["NoNewPrivs"] == "1"
    [uid] = set(lines["Uid"].split())
    [gid] = set(lines["Gid"].split())
    assert uid == gid and int(uid) > 2_001_000_000
    assert lines["Groups"].strip() in ("", gid)


def test_it_can_write_its_home_and_tmp_only(eve: Kernel) -> None:
    code = """
import subprocess
find = "find / -xdev -writable -not -type l -not -path '/proc/*' 2>/dev/null"
print(subprocess.run(find, shell=True, capture_output=True, text=True).stdout)
for path in ("/opt/venv/x", "/etc/x", "/opt/beamhub/lib/x"):
    try:
        open(path, "w")
    except OSError as error:
        print(error.strerror)
"""
    output = eve.run(code).splitlines()
    assert output.count("Read-only file system") == 3
    paths = [line for line in output if line.startswith("/") and not line.startswith("/dev")]
    assert set(paths) == {"/home/jovyan", "/tmp", "/var/lib/extrausers"}


def test_its_limits_are_docker_s(eve: Kernel) -> None:
    host = about("eve")["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 2 * 2**30
    assert host["CpuQuota"] == host["CpuPeriod"]
    assert (host["PidsLimit"], host["ShmSize"]) == (1024, 2**30)
    assert host["CapDrop"] == ["ALL"]
    assert host["Ulimits"] == [{"Name": "core", "Soft": 0, "Hard": 0}]
    assert host["IpcMode"] == "private"
    # What it says is bounded on the machine's disk.
    assert host["LogConfig"]["Config"]["max-size"] == "4m"
    code = """
import subprocess
began = []
try:
    for _ in range(1100):
        began.append(subprocess.Popen(["sleep", "60"]))
except OSError as error:
    print("refused after", len(began) > 900)
for process in began:
    process.kill(); process.wait()
"""
    assert eve.run(code).strip() == "refused after True"


REACH = """
import socket
def reach(address, port):
    with socket.socket() as s:
        s.settimeout(3)
        return s.connect_ex((address, port)) == 0
"""


def test_it_reaches_the_hub_and_nobody_else_s(
    docker_portal: RunningPortal, ada: httpx.Client, eve: Kernel
) -> None:
    hub = ADDRESSES.replace("0.0/16", "0.1")
    other, own = network("ada"), network("eve")
    port = docker_portal.port
    tried = {
        "the hub": (hub, port + 81),
        "another's server": (other["IPAddress"], 8888),
        "the hub by its own gateway": (own["Gateway"], port + 81),
        "a cloud's metadata": ("169.254.169.254", 80),
    }
    code = f"{REACH}\nprint([name for name, at in {tried!r}.items() if reach(*at)])"
    assert eve.run(code).strip() == "['the hub']"


def test_closed_ways_stay_closed(eve: Kernel) -> None:
    code = """
import subprocess
for word in (["-4", "rule", "del", "pref", "102"], ["-6", "rule", "del", "pref", "100"]):
    done = subprocess.run(["ip", *word], capture_output=True, text=True)
    print(done.returncode != 0, done.stderr)
print("to 169.254.0.0/16 unreachable" in subprocess.check_output(["ip", "rule"], text=True))
"""
    said_ = eve.run(code)
    assert said_.startswith("True") and said_.count("Operation not permitted") == 2
    assert said_.rstrip().endswith("True")


def test_neither_docker_nor_the_portal_s_state_is_inside(
    docker_portal: RunningPortal, eve: Kernel
) -> None:
    state = docker_portal.state
    code = f"""
from pathlib import Path
print([p for p in ("/var/run/docker.sock", "/run/docker.sock", "{state}") if Path(p).exists()])
"""
    assert eve.run(code).strip() == "[]"
    assert {m["Destination"] for m in about("eve")["Mounts"]} == {"/home/jovyan"}


@pytest.fixture
def site_folder() -> Iterator[Path]:
    """A folder that servers can see: they have a /tmp of their own."""
    with tempfile.TemporaryDirectory(prefix="bh-data-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_site_s_data_can_be_read_and_not_changed(
    docker_site: Path, state_folder: Callable[[], Path], site_folder: Path
) -> None:
    root, work = site_folder / "reference", site_folder / "work"
    for folder, mode in ((root, 0o777), (work, 0o1777)):
        folder.mkdir()
        folder.chmod(mode)
    (root / "known.txt").write_text("42")
    (root / "known.txt").chmod(0o666)
    profile = site_folder / "site.yaml"
    storage = f"storage: [{{source: {work}, target: /work, read_only: false}}]\n"
    profile.write_text(f"{docker_site.read_text()}data: {{roots: [{root}]}}\n{storage}")
    portal = RunningPortal(state_folder(), str(profile))
    try:
        client = portal.login("dana")
        portal.start_server(client, "pyfai", size="tiny")
        kernel = Kernel(portal, client, "/user/dana/pyfai/")
        assert kernel.run(f"print(open('{root}/known.txt').read())").strip() == "42"
        assert "Read-only file system" in kernel.run(f"open('{root}/known.txt', 'w')")
        # By a link in what can be written, it is as closed.
        kernel.run(f"import os; os.symlink('{root}', '/work/link'); open('/work/own', 'w')")
        assert "Read-only file system" in kernel.run("open('/work/link/known.txt', 'w')")
        assert (work / "own").stat().st_uid > 2_001_000_000
        portal.stop_server(client, "pyfai")
        root.rename(site_folder / "moved")
        token = xsrf(client.get("/hub/open/pyfai").text)
        client.post("/hub/open/pyfai", data={"_xsrf": token, "size": "tiny"})
        page = wait_for_page(client, "/hub/spawn-pending/dana/pyfai", "did not start")
        assert f"A folder of the site is missing on this machine: {root}" in page
    finally:
        portal.stop()


def test_names_of_users_are_safe_names_of_containers(docker_portal: RunningPortal) -> None:
    name = "a.b_c@d-e"
    client = docker_portal.login(name)
    docker_portal.start_server(client, "pyfai", size="tiny")
    found = [n for n in said("docker", "ps", "--format={{.Names}}").split() if "-a-b-c" in n]
    assert {name.partition("--")[2] for name in found} == {"pyfai", "pyfai--walls"}
    docker_portal.stop_server(client, "pyfai")


def test_two_use_cases_of_one_user_share_home_and_network(docker_portal: RunningPortal) -> None:
    client = docker_portal.login("twain")
    for use_case in ("pyfai", "pymca"):
        docker_portal.start_server(client, use_case, size="tiny")
    write = "from pathlib import Path; Path.home().joinpath('both.txt').write_text('seen')"
    Kernel(docker_portal, client, "/user/twain/pyfai/").run(write)
    assert client.get("/user/twain/pymca/files/both.txt").text == "seen"
    docker_portal.stop_server(client, "pyfai")
    assert client.get("/user/twain/pymca/api/status").status_code == 200
    docker_portal.stop_server(client, "pymca")
    assert "Servers that have ended" not in client.get("/hub/home").text
    # It goes last, once no way leads to an address in it.
    end = time.monotonic() + PATIENCE_S
    while "-twain\n" in said("docker", "network", "ls", "--format={{.Name}}") + "\n":
        assert time.monotonic() < end
        time.sleep(0.5)


# What happens to a container, what the page says and what the hub believes.


def started(portal: RunningPortal, user: str) -> httpx.Client:
    client = portal.login(user)
    portal.start_server(client, "pyfai", size="tiny")
    return client


def ended(client: httpx.Client, user: str, why: str) -> str:
    """Return the page of a server that has ended, once it says why; nothing of it is left."""
    page = wait_for_page(client, f"/user/{user}/pyfai/lab", why)
    assert "is not running" in page
    assert "pyfai" not in servers(client, user)
    end = time.monotonic() + PATIENCE_S
    while container(user):
        assert time.monotonic() < end
        time.sleep(0.5)
    assert why in client.get("/hub/home").text
    return page


def test_a_container_that_is_killed_or_removed(docker_portal: RunningPortal) -> None:
    client = started(docker_portal, "karl")
    said("docker", "kill", container("karl"))
    ended(client, "karl", "It was ended from outside of the portal, by signal 9.")
    docker_portal.start_server(client, "pyfai", size="tiny")
    assert "Servers that have ended" not in client.get("/hub/home").text
    said("docker", "rm", "--force", container("karl"))
    ended(client, "karl", "Its container was removed from outside of the portal.")


FILL = """
import os
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        who = open(f"/proc/{pid}/cmdline").read()
        # The kernel of the system takes the largest; who raises its own number comes first.
        first = ("jupyterhub-singleuser" in who) if SERVER else (int(pid) == os.getpid())
        if first:
            open(f"/proc/{pid}/oom_score_adj", "w").write("1000")
    except OSError:
        pass
held = [bytearray(os.urandom(1)) * 2**28 for _ in range(64)]
"""


def test_memory_that_runs_out_in_a_kernel_is_told_at_home(docker_portal: RunningPortal) -> None:
    client = started(docker_portal, "kim")
    kernel = Kernel(docker_portal, client, "/user/kim/pyfai/")
    with pytest.raises(TimeoutError):
        kernel.run(f"SERVER = False\n{FILL}", seconds=10)
    page = wait_for_page(client, "/hub/home", "its memory of 2 GiB was full")
    assert "a program in it was ended" in page
    assert client.get("/user/kim/pyfai/api/status").status_code == 200
    docker_portal.stop_server(client, "pyfai")


@pytest.mark.browser
def test_memory_that_runs_out_in_the_server(
    docker_portal: RunningPortal, context: BrowserContext
) -> None:
    page = context.new_page()
    log_in(page, docker_portal, "olga")
    client = docker_portal.client()
    for cookie in context.cookies():
        client.cookies.set(cookie["name"], cookie["value"], path=cookie["path"])
    docker_portal.start_server(client, "pyfai", size="tiny")
    kernel = Kernel(docker_portal, client, "/user/olga/pyfai/")
    with pytest.raises(Exception):  # noqa: B017 - the way to the kernel breaks somewhere
        kernel.run(f"SERVER = True\n{FILL}", seconds=10)
    page.goto(f"{docker_portal.url}/user/olga/pyfai/lab")
    why = "It ran out of memory: it wanted more than the 2 GiB of its size."
    expect(page.get_by_role("alert")).to_contain_text(why, timeout=60_000)
    shot(page, "ended-by-memory")
    assert violations(page) == []
    assert "pyfai" not in servers(client, "olga")
    page.goto(f"{docker_portal.url}/hub/home")
    expect(page.get_by_text("Servers that have ended")).to_be_visible()
    shot(page, "home-ended")
    assert violations(page) == []


def test_a_home_that_is_full(docker_portal: RunningPortal, docker_site: Path) -> None:
    prefix = docker_site.read_text().partition("prefix: ")[2].partition(",")[0]
    portal = (docker_portal.state / "identity").read_text()
    labels = [f"--label={PORTAL_LABEL}={portal}", f"--label={USER_LABEL}=fay"]
    options = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=64k,mode=1777"]
    said("docker", "volume", "create", *labels, *options, f"{prefix}-fay")
    client = docker_portal.login("fay")
    token = xsrf(client.get("/hub/open/pyfai").text)
    client.post("/hub/open/pyfai", data={"_xsrf": token, "size": "tiny"})
    page = wait_for_page(client, "/hub/spawn-pending/fay/pyfai", "did not start")
    assert "The disk that holds your files is full." in page
    assert "pyfai" not in servers(client, "fay")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda s: s.name)
def test_servers_outlive_the_hub(
    docker_site: Path, state_folder: Callable[[], Path], how: signal.Signals
) -> None:
    state, user = state_folder(), f"hope{how.value}"
    first = RunningPortal(state, str(docker_site))
    client = started(first, user)
    kernel = Kernel(first, client, f"/user/{user}/pyfai/")
    kernel.run("kept = 42")
    before = container(user)
    if how == signal.SIGKILL:
        first.process.kill()
    first.stop(how)
    assert container(user) == before
    second = RunningPortal(state, str(docker_site), port=first.port)
    try:
        again = second.client(client.cookies)
        kernel.client = again
        assert kernel.run("print(kept)") == "42\n"
        assert container(user) == before
        assert servers(again, user)["pyfai"]["ready"]
        second.stop_server(again, "pyfai")
        assert container(user) == ""
    finally:
        second.stop()


def test_what_nobody_knows_any_more_is_removed(
    docker_site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    portal = f"portal {os.getpid()}"
    asleep = ["--entrypoint=sleep", f"{REGISTRY}/pyfai:1.0.0", "600"]
    label = f"--label={PORTAL_LABEL}={portal}"
    lost, known = (said("docker", "run", "--detach", label, *asleep) for _ in range(2))
    other = said("docker", "run", "--detach", *asleep)
    everyone = set(said("docker", "ps", "-aq", "--no-trunc").split()) - {lost}
    assert strays.remove_strays(everyone, portal) == 0  # it is too young
    monkeypatch.setattr(strays, "YOUNG_S", 0)
    time.sleep(1.1)
    assert strays.remove_strays(everyone, "another portal") == 0
    assert strays.remove_strays(everyone, portal) == 1
    left = said("docker", "ps", "-aq", "--no-trunc").split()
    assert known in left and other in left and lost not in left
    said("docker", "rm", "--force", known, other)


# Images that are not there.


def other_registry(docker_site: Path, folder: Path, **backend: object) -> Path:
    """Return a profile of a site whose images nobody has made yet."""
    text = docker_site.read_text().replace(REGISTRY, f"127.0.0.1:9/other{os.getpid()}")
    for key, value in backend.items():
        text = text.replace("kind: docker,", f"kind: docker, {key}: {json.dumps(value)},")
    profile = folder / "other.yaml"
    profile.write_text(text)
    return profile


@pytest.mark.browser
def test_a_missing_image_is_built_before_everybody_s_eyes(
    docker_site: Path, state_folder: Callable[[], Path], tmp_path: Path, context: BrowserContext
) -> None:
    portal = RunningPortal(state_folder(), str(other_registry(docker_site, tmp_path)))
    try:
        page = context.new_page()
        log_in(page, portal, "bob")
        page.goto(f"{portal.url}/hub/open/pyfai?size=tiny")
        page.get_by_role("button", name=f"Start {PYFAI}").click()
        page.wait_for_url("**/spawn-pending/**")
        expect(page.locator("#message")).to_contain_text("Building the software of", timeout=60_000)
        shot(page, "pending-build")
        page.wait_for_url("**/user/bob/pyfai/lab/**", timeout=600_000)
        assert container("bob")
        record = json.loads((portal.state / "images.json").read_text())
        assert any("/pyfai:" in reference for reference in record)
        stop(page, portal.url, "pyfai")
    finally:
        portal.stop()
        for reference in json.loads((portal.state / "images.json").read_text()):
            subprocess.run(["docker", "image", "rm", reference], capture_output=True)


def test_a_missing_image_is_refused_where_the_site_wants_it_so(
    docker_site: Path, state_folder: Callable[[], Path], tmp_path: Path
) -> None:
    site = other_registry(docker_site, tmp_path, missing_image=["pull"])
    portal = RunningPortal(state_folder(), str(site))
    try:
        client = portal.login("ruth")
        token = xsrf(client.get("/hub/open/pymca").text)
        client.post("/hub/open/pymca", data={"_xsrf": token, "size": "tiny"})
        page = wait_for_page(client, "/hub/spawn-pending/ruth/pymca", "did not start")
        assert "is not on this machine. Its registry could not be reached." in page
        assert servers(client, "ruth").get("pymca") is None
        assert container("ruth", "pymca") == ""
    finally:
        portal.stop()


def test_the_same_image_is_a_fact(
    docker_site: Path, state_folder: Callable[[], Path], tmp_path: Path, registry: str
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(docker_site.read_text().replace(REGISTRY, registry))
    # The smallest image that serves: a registry gets all of it, compressed.
    own = f"--use-cases={tmp_path}"
    subprocess.run([BEAMHUB, "new", "use-case", "mine", "--in", tmp_path], check=True)
    state = state_folder()
    where = [f"--site={site}", f"--state={state}", own]
    for command in ("build", "push"):
        subprocess.run([BEAMHUB, "images", command, "mine", *where], check=True)
    record = json.loads((state / "images.json").read_text())
    [(tag, digest)] = [(name, made["digest"]) for name, made in record.items() if made["digest"]]
    for name in (digest, tag):
        subprocess.run(["docker", "image", "rm", name], capture_output=True)
    assert subprocess.run(["docker", "image", "inspect", digest], capture_output=True).returncode
    portal = RunningPortal(state, str(site), own)
    try:
        portal.start_server(client := portal.login("dido"), "mine", size="tiny")
        assert about("dido", "mine")["Config"]["Image"] == digest
        kernel = Kernel(portal, client, "/user/dido/mine/")
        assert kernel.run("import os; print(os.environ['BEAMHUB_IMAGE'])").strip() == digest
        portal.stop_server(client, "mine")
    finally:
        portal.stop()


# A daemon that is away. Last in this file: whatever runs ends with it.


@pytest.fixture
def own_docker(docker: Docker) -> Iterator[Docker]:
    if not docker.own:
        pytest.skip("this Docker daemon is not the tests' own, so they don't stop it")
    yield docker
    if docker.process is None or docker.process.poll() is not None:
        docker.start()


def test_a_daemon_that_is_away(
    own_docker: Docker,
    docker_site: Path,
    state_folder: Callable[[], Path],
    context: BrowserContext,
) -> None:
    state = state_folder()
    portal = RunningPortal(state, str(docker_site))
    try:
        client = started(portal, "dora")
        own_docker.stop()
        page = client.get("/user/dora/pyfai/lab").text
        assert "This server is not answering" in page
        told = "/hub/error/503?url=/user/dora/pyfai/lab"  # what the page asks for by itself
        wait_for_page(client, told, "has not answered since")
        assert "has not answered since" in client.get("/hub/home").text
        assert servers(client, "dora")["pyfai"]["ready"], "the hub gave up a server it can't see"
        token = xsrf(client.get("/hub/open/pymca").text)
        client.post("/hub/open/pymca", data={"_xsrf": token, "size": "tiny"})
        page = wait_for_page(client, "/hub/spawn-pending/dora/pymca", "did not start")
        assert "Docker, which runs servers on this machine, doesn&#39;t answer" in page
        own_docker.start()
        ended(client, "dora", "Docker was restarted on this machine, which ended all servers.")
        portal.start_server(client, "pyfai", size="tiny")
        own_docker.stop()
        portal.stop_server(client, "pyfai")
        assert "Docker did not answer when this server was stopped" in client.get("/hub/home").text
    finally:
        portal.stop()
    # A hub that is started while Docker is away says so on its pages, and recovers by itself.
    again = RunningPortal(state, str(docker_site), port=portal.port)
    try:
        own_docker.start()
        client = again.client(client.cookies)
        again.start_server(client, "pyfai", size="tiny")
        again.stop_server(client, "pyfai")
    finally:
        again.stop()
