"""What Slurm's commands print becomes jobs and nodes, whatever stands around it."""

from hypothesis import given
from hypothesis import strategies as st

from spawners.slurm.jobs import (
    ASKED,
    ENDED_FORMAT,
    SEPARATOR,
    Job,
    ended_of,
    fields_of,
    gpus_in,
    jobs_of,
    new_mark,
    nodes_of,
    place,
    ranks_of,
    share_waited,
)

NODE = (
    "NodeName=node1 Arch=x86_64 CoresPerSocket=1  CPUAlloc=1 CPUEfctv=8 CPUTot=8 CPULoad=10.17 "
    "AvailableFeatures=(null) Gres=gpu:1 GresUsed=gpu:0 "
    "NodeAddr=10.247.76.11 NodeHostName=vm Version=22.05.8 "
    "OS=Linux 6.18.44-fc-v769 #1 SMP @0  RealMemory=32000 AllocMem=500 FreeMem=10957 "
    "State=MIXED ThreadsPerCore=1 Partitions=interactive,preempt  "
    "CfgTRES=cpu=8,mem=32000M,billing=8,gres/gpu=1 AllocTRES=cpu=1,mem=500M CapWatts=n/a "
    "Comment=State=DOWN is not it"
)


MARK = "c0ffee"


def line(*fields, mark=MARK):
    return SEPARATOR.join([mark, *fields])


def job(number, **more):
    return Job(number, "PENDING", partition="p", **more)


def test_banners_and_other_peoples_lines_are_passed_over():
    running = line("7", "RUNNING", "ada", "100", "200", "90", "5", "p", "node1", "None")
    output = f"*** Welcome ***\n\nJOBID|STATE\n{running}\n{MARK}\n{SEPARATOR}x\n"
    [found] = jobs_of(output, MARK).values()
    assert found == Job("7", "RUNNING", "ada", "None", 100, 200, 90, 5, "p", "node1")
    assert found.runs
    assert not found.waits
    assert not found.over


def test_times_that_slurm_does_not_know_are_none():
    waiting = line("8", "PENDING", "ada", "N/A", "N/A", "90", "5", "p", "n/a", "Priority")
    assert (jobs_of(waiting, MARK)["8"].start, jobs_of(waiting, MARK)["8"].end) == (0, 0)


def test_nothing_that_a_user_writes_is_asked_for():
    # As squeue's manual names them: account, comment, features, work directory, WCKey, name ...
    assert set(ASKED) == {"%i", "%T", "%u", "%S", "%e", "%V", "%Q", "%P", "%B", "%r"}
    assert "Name" not in ENDED_FORMAT


ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\x00"
TEXTS = st.text(st.sampled_from(f"{ENDS}7|0,beamhubRUNNINGé") | st.characters())


@given(st.lists(TEXTS, max_size=11), st.lists(TEXTS, max_size=11))
def test_no_text_passes_for_a_line_that_was_not_asked_for(before, after):
    good = line("7", "RUNNING", "ada", "1", "2", "3", "5", "p", "n", "None")
    mark = new_mark()  # which nobody knew when they wrote their texts
    noise = [SEPARATOR.join(before), SEPARATOR.join(after)]
    forged = [line(*text.split(SEPARATOR), mark="beamhub") for text in noise]
    output = "\n".join([*noise, good.replace(MARK, mark), *forged])
    assert list(fields_of(output, mark)) == [good.split(SEPARATOR)[1:]]


@given(TEXTS)
def test_a_text_at_the_end_of_a_line_can_spoil_that_line_only(text):
    mine = line("9", "RUNNING", "eve", "1", "2", "3", "4", "p", "n", text)
    good = line("7", "RUNNING", "ada", "1", "2", "3", "5", "p", "n", "None")
    found = jobs_of(f"{mine}\n{good}\n", MARK)
    assert found.keys() - {"9"} == {"7"}
    assert found["7"].user == "ada"


def test_how_jobs_ended():
    output = "Welcome\n7|ada|CANCELLED by 1000\n8|ada|TIMEOUT\n8.batch||CANCELLED\n"
    assert {n: job.state for n, job in ended_of(output).items()} == {
        "7": "CANCELLED",
        "8": "TIMEOUT",
    }


def test_a_node_and_what_is_idle():
    [node] = nodes_of(f"banner\n{NODE}").values()
    assert (node.name, node.address, node.usable) == ("node1", "10.247.76.11", True)
    assert (node.cores, node.cores_idle, node.memory_idle_mb) == (8, 7, 31_500)
    assert (node.gpus, node.gpus_idle) == (1, 1)
    assert node.partitions == {"interactive", "preempt"}


def test_a_node_of_slurm_24_11():
    [node] = nodes_of(
        "NodeName=node1 Arch=x86_64 CPUAlloc=3 CPUEfctv=8 CPUTot=8 AvailableFeatures=(null) "
        "Gres=gpu:a100:4(S:0-1) GresDrain=N/A GresUsed=gpu:a100:1(IDX:2) NodeAddr=127.0.0.1 "
        "Version=24.11.5 RealMemory=32000 AllocMem=2000 State=MIXED+PLANNED "
        "Partitions=interactive,short,closed CfgTRES=cpu=8,mem=32000M,billing=8 CurrentWatts=0"
    ).values()
    assert (node.gpus, node.gpus_idle, node.gpus_of("a100"), node.gpus_of("v100")) == (4, 3, 4, 0)
    assert (node.cores_idle, node.memory_idle_mb, node.usable) == (5, 30_000, True)
    assert node.partitions == {"interactive", "short", "closed"}


def test_nodes_that_take_no_jobs():
    for state in ("DOWN*", "IDLE+DRAIN", "MIXED+MAINTENANCE", "ALLOCATED+COMPLETING+DRAIN"):
        [node] = nodes_of(NODE.replace("State=MIXED", f"State={state}", 1)).values()
        assert not node.usable, state


def test_the_place_in_the_queue():
    mine = job("5", priority=10, submitted=100)
    others = [
        job("1", priority=10, submitted=50),
        job("2", priority=99, submitted=200),
        job("3", priority=1, submitted=1),
        job("6", priority=10, submitted=100),
        Job("4", "RUNNING", partition="p", priority=99),
        Job("7", "PENDING", partition="other", priority=99),
    ]
    assert place(mine, ranks_of([*others, mine])) == 3


def test_jobs_that_are_held_or_wait_for_others_take_nobodys_place():
    mine = job("5", priority=10)
    for reason in ("Dependency", "DependencyNeverSatisfied", "JobHeldUser", "BeginTime"):
        other = job("1", priority=99, reason=reason)
        assert place(mine, ranks_of([other, mine])) == 1, reason


def test_a_job_that_may_go_to_several_partitions_has_its_best_place():
    both = Job("5", "PENDING", partition="p,q", priority=10)
    first = job("1", priority=99)
    assert place(both, ranks_of([first, both])) == 1
    assert place(job("6", priority=1), ranks_of([first, both])) == 3


def test_gpus_are_counted_by_type():
    assert gpus_in("gpu:a100:4(S:0-1),gpu:v100:2,lustre:1") == {"a100": 4, "v100": 2}
    assert gpus_in("gpu:2(IDX:0-1)") == {"": 2}
    assert gpus_in("gpu:1g.5gb:7") == {"1g.5gb": 7}
    assert gpus_in("(null)") == {}


def test_how_much_of_a_wait_is_over():
    waiting = job("5", submitted=1000, start=1400)
    assert share_waited(waiting, 1100, None) == 0.25
    assert share_waited(waiting, 1100, 40) == 0.25
    late = job("5", submitted=1000, start=1050)
    assert share_waited(late, 1100, None) == 0
    assert share_waited(late, 1100, 200) == 0.5
    assert share_waited(late, 1100, 10) == 0.95
