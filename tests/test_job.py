"""What runs on a node: a home that can be written, a port of one's own, a report."""

import os
import socket
import subprocess
import sys

import pytest

from workbench import job


@pytest.fixture
def hub(reports, monkeypatch):
    """What the job knows of the hub that takes its reports, and the list of those it got."""
    names = {"API_URL": f"http://127.0.0.1:{reports.port}/hub/api", "API_TOKEN": "t0ken"}
    names |= {"USER": "ada", "SERVER_NAME": "pyfai", "SERVICE_URL": "http://0.0.0.0:0/user/ada/"}
    for name, value in names.items():
        monkeypatch.setenv(f"JUPYTERHUB_{name}", value)
    return reports.got


def test_what_is_reported_goes_to_the_servers_own_place(hub):
    job.report({"port": 8888})
    assert hub == [("/hub/api/beamhub/jobs/ada/pyfai", "token t0ken", {"port": 8888})]


def test_the_sites_proxy_is_not_asked(hub, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    job.report({"port": 8888})
    assert len(hub) == 1


def test_a_hub_that_is_away_is_told_again(monkeypatch, hub):
    waited = []
    monkeypatch.setattr(job.time, "sleep", waited.append)
    monkeypatch.setenv("JUPYTERHUB_API_URL", "http://127.0.0.1:9/hub/api")
    job.report({"port": 8888})
    assert waited[:6] == [1, 2, 4, 8, 15, 15]
    assert 600 <= sum(waited) < 620


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_can_not_be_written_as_anybody(tmp_path, monkeypatch):
    tmp_path.chmod(0o500)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "Permission denied" in job.home_problem()
    tmp_path.chmod(0o700)


def test_a_home_that_is_missing_or_full_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert job.home_problem() == ""
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    assert "No such file or directory" in job.home_problem()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(job.os, "fsync", full)
    assert "No space left on device" in job.home_problem()


def test_a_port_counts_only_if_this_account_listens_there():
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        port = mine.getsockname()[1]
        assert not job.listens_here(port)
        mine.listen()
        assert job.listens_here(port)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_somebody_elses_port_does_not():
    code = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(); s.bind(('127.0.0.1', 0)); "
        "s.listen(); print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout and other.stdin
        assert not job.listens_here(int(other.stdout.readline()))
        other.stdin.close()


def test_a_server_that_ends_by_itself_is_reported_with_its_last_words(hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(job.sys, "executable", "/bin/false")
    assert job.main() == 1
    [(_, _, told)] = hub
    assert told == {"problem": "JupyterLab ended by itself, with exit status 1.", "output": ""}


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        (
            "9:pids:/slurm\n4:memory:/slurm/job_1\n0::/\n",
            "memory/slurm/job_1/memory.oom_control",
        ),
        ("0::/slurm/job_1\n", "slurm/job_1/memory.events"),
    ],
)
def test_what_the_kernel_ended_is_counted_in_both_versions_of_control_groups(
    tmp_path, groups, file
):
    table = tmp_path / "cgroup"
    table.write_text(groups)
    assert job.memory_kills(table, tmp_path) == 0
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert job.memory_kills(table, tmp_path) == 3


def test_a_home_that_was_full_when_the_server_ended_is_said():
    said = job.ending(1, "OSError: [Errno 28] No space left on device: 'x'")
    assert "your home folder (No space left on device)" in said
