"""What users write into Slurm's texts, to have others' jobs cancelled or believed to have ended."""

import asyncio
import re
from pathlib import Path

import pytest
from cluster import Cluster, wait_until
from portals import RunningPortal
from queueing import outlook_of

from spawners.slurm import strays
from spawners.slurm.queue import queue_of
from spawners.slurm.submissions import Submission, Submissions

pytestmark = [
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(1800),
]
TEXTS = (("job-name",), ("comment",), ("wckey",), ("job-name", "--array=1-2"))


def forged(number: str, state: str, name: str = "x") -> list[str]:
    """Return texts that hold a line about somebody else's job, as a portal once asked for it."""
    fields = ["beamhub", number, state, "ada", "None", "1", "9", "1", "1", "p", "node9", name]
    newer = ["beamhub", number, state, "ada", "1", "9", "1", "1", "p", "node9", "None"]
    table = "|".join([number, "ada", state])
    lines = ["\x1f".join(fields), "\x1f".join(newer), table]
    return [f"x{end}{line}{end}y" for line in lines for end in ("\n", "\x1e", "\u2028")]


def test_no_text_of_a_job_makes_the_hub_believe_that_another_has_ended(
    slurm_portal: RunningPortal, cluster: Cluster
) -> None:
    ada = slurm_portal.login("ada")
    slurm_portal.start_server(ada, "pyfai", size="small")
    number = cluster.job_of("ada")
    texts = forged(number, "COMPLETED")
    made = [
        cluster.submit("eve", f"--{option}={text}", *more, wait=False)
        for text, (option, *more) in zip(texts, TEXTS * 3, strict=False)
    ]
    try:
        portal_asked(slurm_portal, cluster, 3)
        assert "/hub/stop/pyfai" in ada.get("/hub/home").text
        assert ada.get("/user/ada/pyfai/api/status").status_code == 200
        assert "node9" not in ada.get("/hub/home").text
        assert cluster.job_of("ada") == number
    finally:
        cluster.said("scancel", *made)
        slurm_portal.stop_server(ada, "pyfai")


def portal_asked(portal: RunningPortal, cluster: Cluster, times: int) -> None:
    """Wait until the portal has looked at the queue so often: each new one is seen in a page."""
    fred = portal.login("fred")
    for _ in range(times):
        seen = cluster.submit("fred", "--begin=now+1hour", wait=False)
        wait_until(lambda: " waiting" in outlook_of(fred, "small"), "a look at the queue")
        cluster.said("scancel", seen)
        wait_until(lambda: " waiting" not in outlook_of(fred, "small"), "another one")


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> Submissions:
    """A portal's record; what it says is old enough at once."""
    monkeypatch.setattr(strays, "YOUNG_S", -10)
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    queue_of.cache_clear()
    return Submissions(tmp_path)


def sweep(record: Submissions, *known: Submission) -> int:
    """Sweep once, with what Slurm says now."""
    queue_of.cache_clear()
    return asyncio.run(strays.cancel_strays(record, {one.mark for one in known}, 1))


def test_only_what_the_portal_submitted_is_cancelled_whatever_other_jobs_are_named(
    cluster: Cluster, record: Submissions
) -> None:
    kept, given_up = record.begin("ada", "pymca"), record.begin("ada", "pyfai")
    numbers = {}
    for one in (kept, given_up):
        numbers[one.mark] = cluster.submit("ada", f"--job-name={one.name}")
        record.number(one, numbers[one.mark])
    private = cluster.submit("max", "--job-name=private")
    hostile = [
        cluster.submit("eve", f"--job-name={text}", wait=False)
        for text in [given_up.name, *forged(private, "RUNNING", given_up.name)[:3]]
    ]
    everything = {private, numbers[kept.mark], *hostile}
    assert sweep(record, kept) == 1
    wait_until(lambda: numbers[given_up.mark] not in cluster.jobs(), "the end of the stray")
    assert everything <= set(cluster.jobs())
    assert sweep(record, kept) == 0
    assert [one.mark for one in record] == [kept.mark]
    cluster.said("scancel", *everything)


def test_a_job_whose_number_never_came_back_is_found_and_only_its_owners_are(
    cluster: Cluster, record: Submissions
) -> None:
    lost, never = record.begin("ada", "pyfai"), record.begin("ada", "pymca")
    number = cluster.submit("ada", f"--job-name={lost.name}")
    copied = cluster.submit("eve", f"--job-name={lost.name}")
    assert re.fullmatch(r"beamhub-pyfai-[0-9a-f]{16}", lost.name)
    assert sweep(record) == 1
    wait_until(lambda: number not in cluster.jobs(), "the end of the stray")
    assert copied in cluster.jobs()
    assert never.mark not in {one.mark for one in record}
    cluster.said("scancel", copied)


def test_a_number_that_is_now_somebody_elses_is_not_cancelled(
    cluster: Cluster, record: Submissions
) -> None:
    theirs = cluster.submit("eve")
    record.number(record.begin("ada", "pyfai"), theirs)
    assert sweep(record) == 0
    assert theirs in cluster.jobs()
    assert list(record) == []
    cluster.said("scancel", theirs)
