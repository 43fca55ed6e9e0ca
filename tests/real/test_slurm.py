"""Servers as jobs of a real Slurm: what waits, what ends them, and what the pages say of it."""

import asyncio
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from cluster import HUB, Cluster, wait_until
from kernels import Kernel
from portals import BEAMHUB, RunningPortal, xsrf

from hub.state import identity_of
from spawners import slurm_strays
from spawners.slurm_queue import queue_of
from spawners.slurm_script import job_name

pytestmark = [
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(600),
]


def begin(client: httpx.Client, **options: str) -> httpx.Response:
    """Ask for pyFAI as the form does, and return the page that follows."""
    page = client.get("/hub/open/pyfai")
    return client.post("/hub/open/pyfai", data={"_xsrf": xsrf(page.text), **options})


def pending(user: str) -> str:
    return f"/hub/spawn-pending/{user}/pyfai"


def wait_for_page(client: httpx.Client, path: str, text: str, seconds: float = 90) -> str:
    """Return a page once it says something."""
    end = time.monotonic() + seconds
    while text not in (page := client.get(path).text):
        assert time.monotonic() < end, re.sub(r"<[^>]+>|\n\s*\n", "", page)
        time.sleep(0.5)
    return page


def wait_until_ended(client: httpx.Client, user: str, text: str, seconds: float = 90) -> str:
    return wait_for_page(client, f"/user/{user}/pyfai/lab", text, seconds)


@pytest.fixture
def full(cluster: Cluster) -> Iterator[str]:
    """A cluster that somebody else has all of, until the test ends."""
    number = cluster.fill()
    yield number
    cluster.run("scancel", number)
    wait_until(cluster.all_idle, "an idle cluster", 120)


@pytest.fixture(scope="module")
def token(slurm_portal: RunningPortal) -> str:
    """A token that eve made for herself."""
    eve = slurm_portal.login("eve")
    cookie = eve.cookies.get("_xsrf", path="/hub/") or ""
    answer = eve.post("/hub/api/users/eve/tokens", headers={"X-XSRFToken": cookie})
    return str(answer.json()["token"])


# Waiting.


def test_who_waits_is_told_why_and_can_cancel(
    slurm_portal: RunningPortal, cluster: Cluster, full: str
) -> None:
    client = slurm_portal.login("ada")
    begin(client, size="small")
    page = wait_for_page(client, pending("ada"), "number 1 in the queue")
    assert "Waiting for" in page
    wait_for_page(client, pending("ada"), "Slurm expects it to begin in about", 30)
    outlook = client.get("/hub/outlook").json()
    assert outlook["small"].startswith("no room now; 1 job waiting")
    slurm_portal.stop_server(client, "pyfai")
    assert cluster.job_of("ada") == ""


def test_a_second_one_is_number_two(
    slurm_portal: RunningPortal, cluster: Cluster, full: str
) -> None:
    ada, eve = slurm_portal.login("ada"), slurm_portal.login("eve")
    begin(ada, size="small")
    begin(eve, size="small")
    wait_for_page(eve, pending("eve"), "number 2 in the queue")
    for client in (ada, eve):
        slurm_portal.stop_server(client, "pyfai")


def test_a_waiting_job_that_an_operator_cancels(
    slurm_portal: RunningPortal, cluster: Cluster, full: str
) -> None:
    client = slurm_portal.login("ada")
    begin(client, size="small")
    wait_until(lambda: cluster.job_of("ada"), "the job")
    cluster.said("scancel", cluster.job_of("ada"))
    wait_for_page(client, pending("ada"), "cancelled from outside of the portal")


def test_a_free_cluster_says_so(slurm_portal: RunningPortal) -> None:
    client = slurm_portal.login("ada")
    page = wait_for_page(client, "/hub/open/pyfai", "room now on 2 of 2 nodes; 16 cores")
    assert "64 cores asked, and no node of partition &#39;interactive&#39; has more than 8" in page


# Running, and what ends it.


def test_a_running_job_that_is_cancelled(slurm_portal: RunningPortal, cluster: Cluster) -> None:
    client = slurm_portal.login("ada")
    slurm_portal.start_server(client, "pyfai", size="small")
    assert "ends in 8 h" in wait_for_page(client, "/hub/home", "ends in 8 h")
    cluster.said("scancel", cluster.job_of("ada"))
    wait_until_ended(client, "ada", "cancelled from outside of the portal")


def test_one_whose_time_is_over(slurm_portal: RunningPortal, cluster: Cluster) -> None:
    client = slurm_portal.login("ada")
    slurm_portal.start_server(client, "pyfai", size="brief")
    wait_for_page(client, "/hub/home", "Slurm ends it in 1 min")
    wait_until_ended(client, "ada", "Its time was over", 180)


def test_one_that_runs_out_of_memory(slurm_portal: RunningPortal, cluster: Cluster) -> None:
    client = slurm_portal.login("ada")
    slurm_portal.start_server(client, "pyfai", size="brief")
    kernel = Kernel(slurm_portal, client, "/user/ada/pyfai/")
    # Shared memory, which the limit of a process doesn't count.
    code = (
        "import mmap, time; m = mmap.mmap(-1, 3 << 30); m.write(bytes(3 << 28) * 4); time.sleep(60)"
    )
    code = (
        "import mmap, time; m = mmap.mmap(-1, 3 << 30)\n"
        "for i in range(3 << 8): m.write(bytes(1 << 22))\n"
        "time.sleep(60)"
    )
    with pytest.raises(Exception):  # noqa: B017 - the connection breaks in one of many ways
        kernel.run(code, seconds=50)
    wait_until_ended(client, "ada", "where its memory was full")


def test_one_whose_node_fails(slurm_portal: RunningPortal, cluster: Cluster) -> None:
    client = slurm_portal.login("ada")
    slurm_portal.start_server(client, "pyfai", size="small")
    number = cluster.job_of("ada")
    node = cluster.said("squeue", "-h", f"--jobs={number}", "-o", "%B")
    cluster.power_off(node)
    try:
        wait_until_ended(client, "ada", "The node that it ran on has failed", 120)
    finally:
        cluster.start_node(node)
        wait_until(cluster.all_idle, "both nodes", 120)


# A controller that doesn't answer.


def test_servers_are_kept_while_the_controller_is_away(
    slurm_portal: RunningPortal, cluster: Cluster
) -> None:
    client = slurm_portal.login("ada")
    slurm_portal.start_server(client, "pyfai", size="small")
    cluster.end_daemon("slurmctld")
    try:
        wait_for_page(client, "/hub/home", "Slurm, which runs it, has not answered since")
        assert "Slurm has not answered since" in client.get("/hub/outlook").json()["small"]
        assert client.get("/user/ada/pyfai/api/status").status_code == 200
        eve = slurm_portal.login("eve")
        begin(eve, size="small")
        wait_for_page(eve, pending("eve"), "Slurm, which runs servers on this cluster, doesn&#39;t")
        time.sleep(20)
    finally:
        cluster.start_controller()
    end = time.monotonic() + 180
    while "has not answered" in client.get("/hub/home").text:
        assert time.monotonic() < end
        time.sleep(1)
    assert client.get("/user/ada/pyfai/api/status").status_code == 200
    slurm_portal.stop_server(client, "pyfai")
    wait_until(cluster.all_idle, "an idle cluster", 120)


# What Slurm refuses.


@pytest.fixture(scope="module")
def strict_portal(
    cluster: Cluster, state_folder: Callable[[], Path]
) -> Iterator[tuple[RunningPortal, Path]]:
    """A portal whose sizes ask for what Slurm refuses, with squeue in our hands."""
    size = {"cores": 1, "memory_gib": 2, "walltime_h": 1}
    names = ("account", "partition", "qos", "reservation", "constraint")
    sizes = {name: {"title": name, **size} for name in ("small", *names)}
    sizes |= {"long": {"title": "Long", **size, "walltime_h": 100}}
    sizes |= {"huge": {"title": "Huge", **size, "cores": 64}}
    by_size = {name: {name: "nonesuch"} for name in names}
    hands = cluster.folder / "hands"
    hands.mkdir()
    (hands / "mode").touch()
    # Of what bounds jobs this portal learns nothing, so that sbatch itself refuses.
    for name in ("sacctmgr", "scontrol"):
        (hands / name).write_text(
            f'#!/bin/sh\ncase "$*" in *show\\ nodes) exec /usr/bin/{name} "$@";; esac; exit 1\n'
        )
        (hands / name).chmod(0o755)
    wrapper = hands / "squeue"
    wrapper.write_text(SQUEUE.format(folder=hands))
    wrapper.chmod(0o755)
    (hands / "asked").touch()
    (hands / "asked").chmod(0o666)
    profile = cluster.profile(sizes=sizes, backend=cluster.backend(by_size=by_size))
    running = cluster.portal(state_folder(), profile=profile, first=hands)
    yield running, hands
    running.stop()


SQUEUE = """\
#!/bin/sh
echo asked >> {folder}/asked
case $(cat {folder}/mode) in
slow) sleep 10 ;;
failing) echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1 ;;
banner) echo '*** Maintenance on Monday ***'; echo 'a|b' ;;
esac
exec /usr/bin/squeue "$@"
"""


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ("account", "you may have to be added to it"),
        ("partition", "names a partition that Slurm doesn&#39;t have"),
        ("qos", "names a QOS that Slurm doesn&#39;t have"),
        ("reservation", "The reservation that this site uses is not there now"),
        ("constraint", "No node of this cluster has what this size asks for"),
    ],
)
def test_what_slurm_refuses_is_said_in_words(
    strict_portal: tuple[RunningPortal, Path], cluster: Cluster, size: str, words: str
) -> None:
    portal, _ = strict_portal
    client = portal.login("ada")
    begin(client, size=size)
    page = wait_for_page(client, pending("ada"), words, 30)
    assert "Slurm says: " in page
    assert cluster.job_of("ada") == ""


@pytest.mark.parametrize("size", ["long", "huge"])
def test_what_slurm_takes_but_could_never_start_is_refused_too(
    strict_portal: tuple[RunningPortal, Path], cluster: Cluster, size: str
) -> None:
    portal, _ = strict_portal
    client = portal.login("ada")
    begin(client, size=size)
    wait_for_page(client, pending("ada"), "than its partition ever grants", 30)
    wait_until(lambda: cluster.job_of("ada") == "", "the end of the job")


def test_a_controller_that_is_slow_fails_or_says_more_loses_no_server(
    strict_portal: tuple[RunningPortal, Path], cluster: Cluster
) -> None:
    portal, hands = strict_portal
    client = portal.login("ada")
    (hands / "mode").write_text("banner")
    portal.start_server(client, "pyfai", size="small")
    for mode in ("slow", "failing", "banner"):
        (hands / "mode").write_text(mode)
        time.sleep(15)
        began = time.monotonic()
        home = client.get("/hub/home").text
        assert ("has not answered since" in home) == (mode == "failing"), mode
        client.get("/hub/open/pymca")
        assert time.monotonic() - began < 5, mode
        assert client.get("/user/ada/pyfai/api/status").status_code == 200
    (hands / "mode").write_text("")
    portal.stop_server(client, "pyfai")


def test_the_number_of_questions_does_not_depend_on_the_number_of_servers(
    strict_portal: tuple[RunningPortal, Path], cluster: Cluster, full: str
) -> None:
    portal, hands = strict_portal
    counts = []
    clients = []
    for names in (["ada"], ["eve", "fred", "olaf", "sue"]):
        for name in names:
            clients.append(portal.login(name))
            begin(clients[-1], size="small")
            wait_for_page(clients[-1], pending(name), "in the queue")
        (hands / "asked").write_text("")
        time.sleep(20)
        counts.append(len((hands / "asked").read_text().split()))
    assert 5 <= counts[0] <= 11, counts
    assert abs(counts[1] - counts[0]) <= 2, counts
    for client in clients:
        portal.stop_server(client, "pyfai")


# A hub that is killed.


@pytest.fixture
def started(
    cluster: Cluster, state_folder: Callable[[], Path]
) -> Iterator[Callable[..., RunningPortal]]:
    """Starts portals, the next with the state of the one before, and takes all away."""
    portals: list[RunningPortal] = []
    state = state_folder()

    def start(profile: Path | None = None) -> RunningPortal:
        # Jobs know the hub by its port.
        port = portals[-1].port if portals else None
        portals.append(cluster.portal(state, profile=profile, port=port))
        return portals[-1]

    yield start
    for portal in portals:
        portal.stop()
    cluster.cancel_all()


def answers(client: httpx.Client, user: str) -> bool:
    """Return whether a user who has just logged in reaches their server."""
    client.get(f"/user/{user}/pyfai/lab")
    return client.get(f"/user/{user}/pyfai/api/status").status_code == 200


def test_a_hub_that_starts_again_finds_what_runs_and_what_waits(
    cluster: Cluster, started: Callable[..., RunningPortal]
) -> None:
    portal = started()
    names = ("ada", "eve", "fred")
    ada, eve, fred = map(portal.login, names)
    portal.start_server(ada, "pyfai", size="small")
    hold_back = cluster.fill_rest()
    for name, client in (("eve", eve), ("fred", fred)):
        begin(client, size="small")
        wait_for_page(client, pending(name), "in the queue")
    jobs = {name: cluster.job_of(name) for name in names}
    portal.process.kill()
    portal.process.wait()
    again = started()
    ada, eve, fred = map(again.login, names)
    wait_for_page(eve, pending("eve"), "in the queue")
    assert answers(ada, "ada")
    again.stop_server(fred, "pyfai")
    assert cluster.job_of("fred") == ""
    cluster.said("scancel", hold_back)
    wait_until(lambda: answers(eve, "eve"), "eve's server", 120)
    assert {n: cluster.job_of(n) for n in names} == {**jobs, "fred": ""}
    for client in (ada, eve):
        again.stop_server(client, "pyfai")


def test_a_job_of_no_server_is_cancelled_and_nobody_elses(
    slurm_portal: RunningPortal, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    portal = identity_of(slurm_portal.state)
    stray = cluster.submit("ada", f"--job-name={job_name(portal, 'pyfai')}")
    other = cluster.submit("ada", f"--job-name={job_name('0000', 'pyfai')}")
    known = cluster.submit("ada", f"--job-name={job_name(portal, 'pymca')}")
    monkeypatch.setattr(slurm_strays, "YOUNG_S", -10)
    queue_of.cache_clear()
    assert asyncio.run(slurm_strays.cancel_strays({known}, portal, 1)) == 1
    queue_of.cache_clear()
    wait_until(lambda: stray not in cluster.jobs(), "the end of the stray", 30)
    assert {other, known} <= set(cluster.jobs())
    cluster.said("scancel", other, known)


# Homes, accounts, options.


def test_a_home_that_can_not_be_written_is_said(
    slurm_portal: RunningPortal, cluster: Cluster
) -> None:
    home = cluster.folder / "homes/sue"
    home.chmod(0o500)
    try:
        client = slurm_portal.login("sue")
        begin(client, size="small")
        page = wait_for_page(client, pending("sue"), "could not write into your home folder")
        assert "Permission denied" in page
    finally:
        home.chmod(0o700)


@pytest.mark.parametrize(
    ("name", "words"),
    [("root", "belongs to a service"), ("daemon", "belongs to a service"), ("zoe", "no account")],
)
def test_only_people_with_an_account_get_jobs(
    slurm_portal: RunningPortal, name: str, words: str
) -> None:
    client = slurm_portal.login(name)
    begin(client, size="small")
    wait_for_page(client, pending(name), words, 30)


HOSTILE = {
    "partition": "x\n#SBATCH --uid=0",
    "cmd": "touch /tmp/beamhub-hostile",
    "batch_script": "#!/bin/sh\ntouch /tmp/beamhub-hostile",
    "prologue": "touch /tmp/beamhub-hostile",
    "size": "small\ntouch /tmp/beamhub-hostile",
    "notebook": "'; touch /tmp/beamhub-hostile; '",
    "homedir": "/root",
}


@pytest.mark.parametrize("option", HOSTILE)
def test_no_option_reaches_the_script(
    slurm_portal: RunningPortal, cluster: Cluster, token: str, option: str
) -> None:
    client = slurm_portal.login("eve")
    values = {option: HOSTILE[option]}
    assert begin(client, **values).status_code in (400, 404)
    assert client.get("/hub/open/pyfai", params=values).status_code in (400, 404)
    api = "/hub/api/users/eve/servers/pyfai"
    headers = {"Authorization": f"token {token}"}
    answer = client.post(api, headers=headers, json=values)
    assert answer.status_code in (202, 400, 404), answer.text
    time.sleep(1)
    assert cluster.job_of("eve") == ""
    assert not Path("/tmp/beamhub-hostile").exists()


@pytest.mark.parametrize("server", ["..", "x;id", "$(id)", "pyfai\n#SBATCH", "-u root"])
def test_no_name_of_a_server_reaches_it(
    slurm_portal: RunningPortal, cluster: Cluster, token: str, server: str
) -> None:
    client = slurm_portal.login("eve")
    url = f"/hub/api/users/eve/servers/{quote(server, safe='')}"
    answer = client.post(url, headers={"Authorization": f"token {token}"})
    assert answer.status_code >= 400
    assert cluster.job_of("eve") == ""


def test_a_job_can_tell_its_port_and_nothing_else(
    slurm_portal: RunningPortal, cluster: Cluster, token: str, full: str
) -> None:
    client = slurm_portal.login("eve")
    begin(client, size="small")
    wait_until(lambda: cluster.job_of("eve"), "the job")
    number = cluster.job_of("eve")
    mine = {"Authorization": f"token {token}"}
    own = "/hub/api/beamhub/jobs/eve/pyfai"
    bad = [{"job_id": "1; touch /tmp/beamhub-hostile"}, {"port": 22}, {"port": "8888"}, [], 1]
    assert {client.post(own, headers=mine, json=body).status_code for body in bad} == {400}
    stock = client.post("/hub/api/batchspawner", headers=mine, json={"job_id": "1; id"})
    assert stock.status_code == 404
    assert client.post("/hub/api/beamhub/jobs/ada/pyfai", headers=mine, json={}).status_code == 404
    nobody = httpx.post(f"{slurm_portal.url}{own}", json={"port": 8888})
    assert nobody.status_code == 403
    slurm_portal.stop_server(client, "pyfai")
    assert cluster.state(number) == "CANCELLED"


def test_the_secret_of_a_server_is_its_users_alone(
    slurm_portal: RunningPortal, cluster: Cluster
) -> None:
    client = slurm_portal.login("ada")
    slurm_portal.start_server(client, "pyfai", size="small")
    code = "import os; print(os.environ['JUPYTERHUB_API_TOKEN'])"
    secret = Kernel(slurm_portal, client, "/user/ada/pyfai/").run(code).strip()
    assert len(secret) == 32
    number = cluster.job_of("ada")
    shown = cluster.said("scontrol", "-dd", "show", "job", number)
    shown += cluster.said("sacct", "-X", "-j", number, "--format=ALL%500")
    shown += subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True).stdout
    assert secret not in shown + slurm_portal.log()
    for path in cluster.folder.glob(f"spool-*/job{int(number):05}/slurm_script"):
        assert secret in path.read_text()
        as_eve = ["setpriv", "--reuid=eve", "--regid=eve", "--clear-groups"]
        seen = subprocess.run([*as_eve, "cat", path], capture_output=True, text=True)
        assert "Permission denied" in seen.stderr
        asked = ["scontrol", "write", "batch_script", number, "-"]
        written = subprocess.run(
            [*as_eve, *asked], capture_output=True, text=True, env=cluster.environment
        )
        assert "Invalid user id" in written.stderr
        assert secret not in written.stdout
    slurm_portal.stop_server(client, "pyfai")


def test_the_sudo_rule_allows_these_two_commands_for_people_only(cluster: Cluster) -> None:
    as_hub = ["setpriv", f"--reuid={HUB}", f"--regid={HUB}", "--init-groups", "sudo", "-n"]
    refused = [
        ["id"],
        ["-u", "ada", "id"],
        ["-u", "root", "sbatch", "--parsable"],
        ["-u", "ada", "sbatch", "--parsable", "/etc/passwd"],
        ["-u", "ada", "sbatch", "--wrap", "id"],
        ["-u", "ada", "scancel", "--user=ada"],
    ]
    for command in refused:
        done = subprocess.run([*as_hub, *command], capture_output=True, text=True, input="")
        assert done.returncode != 0, command
        assert re.search("password is required|not allowed", done.stderr), done.stderr


def check(cluster: Cluster, account: str, **backend: object) -> subprocess.CompletedProcess[str]:
    """Check a profile as somebody."""
    names = ("small", "medium", "large")
    sizes = {name: {"title": name, "cores": 1, "memory_gib": 2} for name in names}
    backend = cluster.backend(**backend)
    profile = cluster.profile(extends="_defaults", sizes=sizes, backend=backend)
    profile.chmod(0o644)
    user = ["setpriv", f"--reuid={account}", f"--regid={account}", "--init-groups"]
    state = ["--state", "/tmp/beamhub-check"]
    return subprocess.run(
        [*user, BEAMHUB, "check", profile, *state],
        capture_output=True,
        text=True,
        env={**cluster.environment, "HOME": "/tmp", "COLUMNS": "400"},
    )


def test_check_is_green_or_says_line_by_line_what_is_missing(
    slurm_portal: RunningPortal, cluster: Cluster
) -> None:
    good = check(cluster, HUB)
    assert "All is well" in good.stdout, good.stdout + good.stderr
    for where in ({"account": "nonesuch"}, {"partition": "nonesuch"}):
        said = check(cluster, HUB, by_size={"small": where}).stdout
        assert "sizes.small: no job of " in said
        assert "'nonesuch'" in said
    stranger = check(cluster, "ada").stdout
    assert "can't write into" in stranger
    assert "The account 'ada' may not start jobs for users. As root, write into" in stranger


def test_a_job_that_never_reports_is_cancelled(
    cluster: Cluster, started: Callable[..., RunningPortal]
) -> None:
    backend = cluster.backend(prologue="sleep 600", report_timeout_min=0.1)
    portal = started(cluster.profile(backend=backend))
    client = portal.login("ada")
    begin(client, size="small")
    wait_for_page(client, pending("ada"), "JupyterLab did not answer from there")
    wait_until(lambda: cluster.job_of("ada") == "", "the end of the job")
