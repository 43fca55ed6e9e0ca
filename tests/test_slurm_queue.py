"""One question for everybody: counted, patient, and never wrong about an end."""

import asyncio
import time
from pathlib import Path

import pytest

from spawners.slurm.commands import STARTED, CommandError, NoAnswerError, run
from spawners.slurm.queue import VANISHED, Queue

RUNNING = "{id} RUNNING {user} 1 2 3 4 p node1 None"
SQUEUE = """\
for word; do
    case $word in --format=*) mark=${{word#*=}}; mark=${{mark%%"$(printf '\\037')"*}} ;; esac
done
while read -r line; do echo "$mark $line" | tr ' ' '\\037'; done < {file}
"""


class Programs:
    """Slurm's commands as small scripts on the PATH, in our hands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("squeue", "sacct", "scontrol"):
            self.write(name, "exit 0")

    def write(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def jobs(self, *numbers: str, user: str = "ada") -> None:
        """Let squeue know these jobs, whatever it's asked."""
        lines = [RUNNING.format(id=n, user=user) for n in numbers]
        (self.folder / "jobs").write_text("\n".join([*lines, ""]))
        self.write("squeue", SQUEUE.format(file=self.folder / "jobs"))


@pytest.fixture
def programs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    STARTED.clear()
    return Programs(tmp_path)


async def test_however_many_ask_it_is_one_question(programs):
    programs.jobs("1", "2")
    queue = Queue(60)
    for number in map(str, range(500)):
        queue.watch(number, "ada") if number in ("1", "2") else None
    seen = await asyncio.gather(*(queue.look() for _ in range(500)))
    assert STARTED["squeue"] == 1
    assert all(one.job("1", "ada").runs for one in seen)


async def test_news_are_asked_for_early_but_not_without_end(programs):
    programs.jobs("1")
    queue = Queue(60)
    await queue.look()
    for _ in range(20):
        await queue.look(newer_than=time.monotonic())
        await asyncio.sleep(0.1)
    assert STARTED["squeue"] in (2, 3)


async def test_why_a_job_is_gone_is_asked_once_for_all(programs):
    queue = Queue(0)
    for number in ("1", "2", "3"):
        queue.watch(number, "ada")
    await asyncio.sleep(0.01)
    programs.write("squeue", "exit 0")
    programs.write("sacct", "printf '1|ada|TIMEOUT\\n2|ada|CANCELLED by 5\\n3|eve|COMPLETED\\n'")
    seen = await queue.look()
    states = {n: seen.job(n, "ada").state for n in ("1", "2", "3")}
    assert states == {"1": "TIMEOUT", "2": "CANCELLED", "3": VANISHED}
    await queue.look()
    assert STARTED["sacct"] == 1


async def test_a_number_that_is_now_somebody_elses_is_no_job_of_ours(programs):
    queue = Queue(0)
    queue.watch("1", "ada")
    await asyncio.sleep(0.01)
    programs.jobs("1", user="eve")
    seen = await queue.look()
    assert seen.job("1", "ada").state == VANISHED
    assert seen.job("1", "eve").runs


async def test_a_job_submitted_while_the_question_ran_is_not_gone(programs):
    programs.write("squeue", "sleep 0.3")
    queue = Queue(60)
    looking = asyncio.ensure_future(queue.look())
    await asyncio.sleep(0.1)
    queue.watch("7", "ada")
    assert (await looking).job("7", "ada") is None
    assert STARTED["sacct"] == 0


async def test_a_controller_that_fails_ends_nothing_and_is_asked_less_often(programs):
    programs.jobs("1")
    queue = Queue(0.2)
    queue.watch("1", "ada")
    await queue.look()
    programs.write("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    await asyncio.sleep(0.25)
    first = await queue.look()
    assert first.job("1", "ada").runs
    assert first.silent_since is not None
    for _ in range(20):
        again = await queue.look()
        await asyncio.sleep(0.05)
    assert again.silent_since == first.silent_since
    assert STARTED["squeue"] <= 6
    programs.jobs("1")
    await asyncio.sleep(2)
    assert (await queue.look()).silent_since is None


async def test_a_question_about_an_end_that_fails_leaves_the_job_unknown(programs):
    queue = Queue(0)
    queue.watch("1", "ada")
    await asyncio.sleep(0.01)
    programs.write("squeue", 'case "$*" in *--states*) exit 1 ;; esac')
    programs.write("sacct", "exit 1")
    seen = await queue.look()
    assert seen.job("1", "ada") is None
    assert seen.silent_since is not None


async def test_a_command_that_takes_too_long_is_given_up(programs):
    programs.write("squeue", "exec sleep 20")
    began = time.monotonic()
    with pytest.raises(NoAnswerError, match=r"did not answer within 0\.2 s"):
        await run("squeue", longest_s=0.2)
    assert time.monotonic() - began < 5


async def test_a_command_that_is_not_there_or_fails_says_so(programs):
    with pytest.raises(NoAnswerError, match="No such file"):
        await run("nonesuch")
    programs.write("squeue", "echo why >&2; exit 3")
    with pytest.raises(CommandError, match="why"):
        await run("squeue")


async def test_commands_are_told_nothing_of_the_hubs_own(programs, monkeypatch):
    monkeypatch.setenv("CONFIGPROXY_AUTH_TOKEN", "secret")
    programs.write("squeue", "env")
    assert "secret" not in await run("squeue")


async def test_nodes_are_asked_for_as_seldom(programs):
    line = "NodeName=n1 NodeAddr=10.0.0.1 CPUTot=8 CPUAlloc=0 RealMemory=1000 AllocMem=0"
    programs.write("scontrol", f"echo '{line} State=IDLE Partitions=p'")
    queue = Queue(60)
    assert (await queue.nodes.fresh())["n1"].address == "10.0.0.1"
    assert "other" not in await queue.nodes.fresh()
    assert STARTED["scontrol"] == 1
