"""A real Slurm's controller that is away, slow, or says no."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cluster import Cluster, wait_until
from cluster.files import REFUSED
from portals import RunningPortal
from queueing import begin, outlook_of, pending, wait_for_page, wait_until_ended

pytestmark = [
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(1800),
]


def test_servers_are_kept_while_the_controller_is_away(
    slurm_portal: RunningPortal, cluster: Cluster
) -> None:
    client, fred = slurm_portal.login("ada"), slurm_portal.login("fred")
    for one in (client, fred):
        slurm_portal.start_server(one, "pyfai", size="small")
    cluster.end_daemon("slurmctld")
    back = time.monotonic() + 60
    try:
        wait_for_page(client, "/hub/home", "Slurm, which runs it, has not answered since")
        assert "Slurm has not answered since" in outlook_of(client, "small")
        assert client.get("/user/ada/pyfai/api/status").status_code == 200
        eve = slurm_portal.login("eve")
        begin(eve, size="small")
        wait_for_page(eve, pending("eve"), "Slurm, which runs servers on this cluster, doesn&#39;t")
        slurm_portal.stop_server(fred, "pyfai")
        wait_until_ended(fred, "fred", "Slurm did not answer when this server was stopped")
        time.sleep(max(0, back - time.monotonic()))
        assert client.get("/user/ada/pyfai/api/status").status_code == 200
    finally:
        cluster.start_controller()
    wait_until(lambda: not is_silent(client), "an answer")
    assert client.get("/user/ada/pyfai/api/status").status_code == 200
    wait_until(lambda: cluster.job_of("fred") == "", "the end of the job that was given up")
    slurm_portal.stop_server(client, "pyfai")
    wait_until(cluster.all_idle, "an idle cluster")


@pytest.fixture(scope="module")
def strict_portal(
    cluster: Cluster, state_folder: Callable[[], Path]
) -> Iterator[tuple[RunningPortal, Path]]:
    """A portal whose sizes ask for what Slurm refuses, with squeue in our hands."""
    size = {"cores": 1, "memory_gib": 2, "walltime_h": 1}
    names = ("account", "partition", "qos", "reservation", "constraint")
    sizes = {name: {"title": name, **size} for name in ("small", "site", *names)}
    sizes |= {"long": {"title": "Long", **size, "walltime_h": 100}}
    sizes |= {"huge": {"title": "Huge", **size, "cores": 64}}
    by_size = {name: {name: "nonesuch"} for name in names} | {"site": {"constraint": REFUSED}}
    hands = cluster.folder / "hands"
    hands.mkdir()
    (hands / "mode").touch()
    for name in ("squeue", "sacct", "scontrol"):
        wrapper = hands / name
        wrapper.write_text(WRAPPER.format(folder=hands, name=name))
        wrapper.chmod(0o755)
    (hands / "asked").touch()
    (hands / "asked").chmod(0o666)
    profile = cluster.profile(sizes=sizes, backend=cluster.backend(by_size=by_size))
    running = cluster.portal(state_folder(), profile=profile, first=hands)
    yield running, hands
    running.stop()


# What bounds jobs isn't told here, so that it is sbatch that refuses.
WRAPPER = """\
#!/bin/sh
case "{name} $*" in "scontrol "*"show partition") exit 1 ;; esac
[ {name} = squeue ] && echo asked >> {folder}/asked
case "$*" in *"show partition") exit 1 ;; esac
case $(cat {folder}/mode) in
slow) sleep 10 ;;
failing) echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1 ;;
banner) echo '*** Maintenance on Monday ***'; echo 'a|b' ;;
esac
exec /usr/bin/{name} "$@"
"""


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ("account", "you may have to be added to it"),
        ("partition", "names a partition that Slurm doesn&#39;t have"),
        ("qos", "names a QOS that Slurm doesn&#39;t have"),
        ("reservation", "The reservation that this site uses is not there now"),
        ("constraint", "No node of this cluster has what this size asks for"),
        ("site", "Your project has no hours left: write to hours@example.org"),
    ],
)
def test_what_slurm_refuses_is_said_in_words(
    strict_portal: tuple[RunningPortal, Path], cluster: Cluster, size: str, words: str
) -> None:
    portal, _ = strict_portal
    client = portal.login("ada")
    begin(client, size=size)
    page = wait_for_page(client, pending("ada"), words)
    assert ("Slurm refused the job: " if size == "site" else "Slurm says: ") in page
    assert cluster.job_of("ada") == ""


@pytest.mark.parametrize("size", ["long", "huge"])
def test_what_slurm_takes_but_could_never_start_is_refused_too(
    strict_portal: tuple[RunningPortal, Path], cluster: Cluster, size: str
) -> None:
    portal, _ = strict_portal
    client = portal.login("ada")
    begin(client, size=size)
    wait_for_page(client, pending("ada"), "than its partition ever grants")
    wait_until(lambda: cluster.job_of("ada") == "", "the end of the job")


def wait_for_questions(hands: Path, count: int) -> None:
    """Wait until squeue is asked so many times more."""
    asked = hands / "asked"
    asked.write_text("")
    wait_until(lambda: len(asked.read_text().split()) >= count, f"{count} questions")


def is_silent(client: httpx.Client) -> bool:
    """Return whether Home says that Slurm does not answer."""
    return "has not answered since" in client.get("/hub/home").text


def test_a_controller_that_is_slow_fails_or_says_more_loses_no_server(
    strict_portal: tuple[RunningPortal, Path], cluster: Cluster
) -> None:
    portal, hands = strict_portal
    client = portal.login("ada")
    (hands / "mode").write_text("banner")
    portal.start_server(client, "pyfai", size="small")
    for mode in ("slow", "failing", "banner"):
        (hands / "mode").write_text(mode)
        wait_for_questions(hands, 2)  # of which the first has its answer
        # After failures the next question comes later.
        wait_until(lambda: is_silent(client) == (mode == "failing"), mode)  # noqa: B023
        assert client.get("/hub/open/pymca").status_code == 200
        assert client.get("/user/ada/pyfai/api/status").status_code == 200
    (hands / "mode").write_text("")
    portal.stop_server(client, "pyfai")


def test_the_number_of_questions_does_not_depend_on_the_number_of_servers(
    strict_portal: tuple[RunningPortal, Path], cluster: Cluster, full: str
) -> None:
    portal, hands = strict_portal
    clients = []
    for names in (["ada"], ["eve", "fred", "olaf", "sue"]):
        for name in names:
            clients.append(portal.login(name))
            begin(clients[-1], size="small")
            wait_for_page(clients[-1], pending(name), "in the queue")
        began = time.monotonic()
        wait_for_questions(hands, 5)
        # Two are 2 s apart, however many servers; one may be about a job that is gone.
        assert time.monotonic() - began >= 3 * 2, names
    for client in clients:
        portal.stop_server(client, "pyfai")
