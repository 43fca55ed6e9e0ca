"""What Slurm says becomes a sentence with a next step."""

from datetime import UTC, datetime

import pytest

from spawners.slurm.jobs import Job
from spawners.slurm.words import (
    ENDINGS,
    ending_of,
    ending_soon_text,
    in_text,
    never_text,
    reason_of,
    refusal_of,
    silence_text,
    waiting_text,
)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Priority", "its turn"),
        ("Resources", "free cores"),
        ("QOSMaxJobsPerUserLimit", "this queue allows one user"),
        ("QOSMaxCpuPerUserLimit", "this queue allows one user"),
        ("AssocGrpCpuLimit", "group's account"),
        ("AssocGrpCPUMinutesLimit", "computing time is used up"),
        ("AssocGrpBillingMinutes", "computing time is used up"),
        ("QOSGrpWallLimit", "computing time is used up"),
        ("AssocGrpCPURunMinutesLimit", "group's account"),
        ("QOSMaxCpuMinutesPerJobLimit", "than Slurm allows one job"),
        ("AssocMaxWallDurationPerJobLimit", "than Slurm allows one job"),
        ("ReqNodeNotAvail, Reserved for maintenance", "down, drained or reserved"),
        ("ReqNodeNotAvail, UnavailableNodes:node1", "down, drained or reserved"),
        ("JobHeldUser", "held"),
        ("PartitionTimeLimit", "than its partition ever grants"),
        ("SomethingNew", "'SomethingNew'"),
    ],
)
def test_why_a_job_waits(reason, words):
    assert words in reason_of(reason)


def test_a_place_is_told_where_it_means_something():
    turn = Job("1", "PENDING", reason="Priority")
    assert waiting_text(turn, 3, 0) == "Waiting for its turn: number 3 in the queue"
    assert "number" not in waiting_text(Job("1", "PENDING", reason="JobHeldUser"), 3, 0)


def test_an_estimate_is_told_as_coarse_as_it_is():
    soon = Job("1", "PENDING", reason="Priority", start=1000)
    assert waiting_text(soon, 1, 300).endswith("Slurm expects it to begin in about 12 min") is False
    assert waiting_text(soon, 1, 300).endswith("begin in about 10 min")
    assert "expects" not in waiting_text(soon, 1, 2000)
    assert [in_text(s) for s in (5, 200, 1500, 9000)] == [
        "in about 1 min",
        "in about 3 min",
        "in about 20 min",
        "in about 2 h",
    ]


@pytest.mark.parametrize("state", ENDINGS)
def test_every_end_is_a_sentence(state):
    assert ending_of(Job("1", state)).endswith(".")


def test_an_end_in_order_needs_no_word_of_slurms():
    assert ending_of(Job("1", "COMPLETED")) == ""


def test_a_job_that_would_wait_for_ever_is_told_apart():
    assert "another size" in never_text(Job("1", "PENDING", reason="PartitionConfig"))
    assert never_text(Job("1", "PENDING", reason="Priority")) == ""
    assert never_text(Job("1", "RUNNING", reason="PartitionConfig")) == ""


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Invalid account or account/partition combination specified", "added to it"),
        ("invalid partition specified: x", "a partition that Slurm doesn't have"),
        ("Invalid qos specification", "a QOS that Slurm doesn't have"),
        ("Requested node configuration is not available", "as large as this size"),
        ("Requested time limit is invalid (missing or exceeds some limit)", "more time"),
        (
            "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            "as many jobs",
        ),
        ("Invalid feature specification", "has what this size asks for"),
        ("Unable to contact slurm controller (connect failure)", "doesn't answer"),
        ("sudo: a password is required", "sudo rule"),
        ("the moon is full", "the moon is full"),
    ],
)
def test_what_sbatch_refuses(said, words):
    text = refusal_of(f"sbatch: error: Batch job submission failed: {said}")
    assert words in text
    assert "sbatch: error" not in text


def test_what_a_site_announces_hides_no_error():
    announced = "".join(f"sbatch: Notice {number} of the site\n" for number in range(40))
    text = refusal_of(f"{announced}sbatch: error: Your project is over\nsbatch: error: Failed")
    assert text == "Slurm refused the job: Your project is over Failed"
    text = refusal_of(f"{announced.replace('sbatch: ', 'sbatch: error: ')}sbatch: error: Failed")
    assert text.startswith("Slurm refused the job: … ")
    assert text.endswith("Notice 39 of the site Failed")


def test_silence_and_the_end_are_told_with_a_time():
    assert "since 16:05 UTC" in silence_text(datetime(2026, 1, 1, 16, 5, tzinfo=UTC))
    assert "ends it in 5 min" in ending_soon_text(300)
