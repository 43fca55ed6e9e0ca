"""What Slurm's commands print becomes jobs and nodes, whatever stands around it."""

from spawners.slurm.jobs import (
    SEPARATOR,
    Job,
    ended_of,
    gpus_in,
    jobs_of,
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


def line(*fields):
    return SEPARATOR.join(["beamhub", *fields])


def job(number, **more):
    return Job(number, "PENDING", partition="p", **more)


def test_banners_and_other_peoples_lines_are_passed_over():
    running = line("7", "RUNNING", "ada", "None", "100", "200", "90", "5", "p", "node1", "name")
    output = f"*** Welcome ***\n\nJOBID|STATE\n{running}\nbeamhub\n{SEPARATOR}x\n"
    [found] = jobs_of(output).values()
    assert found == Job("7", "RUNNING", "ada", "None", 100, 200, 90, 5, "p", "node1", "name")
    assert found.runs
    assert not found.waits
    assert not found.over


def test_times_that_slurm_does_not_know_are_none():
    waiting = line("8", "PENDING", "ada", "Priority", "N/A", "N/A", "90", "5", "p", "n/a", "x")
    assert (jobs_of(waiting)["8"].start, jobs_of(waiting)["8"].end) == (0, 0)


def test_a_name_that_holds_a_separator_spoils_no_other_line():
    hostile = line("9", "RUNNING", "eve", "None", "1", "2", "3", "4", "p", "n", f"x{SEPARATOR}y")
    good = line("7", "RUNNING", "ada", "None", "1", "2", "3", "5", "p", "n", "name")
    assert list(jobs_of(f"{hostile}\n{good}")) == ["9", "7"]


def test_how_jobs_ended():
    output = "Welcome\n7|CANCELLED by 1000|node1\n8|TIMEOUT|node2\n8.batch|CANCELLED|node2\n"
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
