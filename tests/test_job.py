"""What runs on a node: a home that can be written, a port of one's own, a report."""

import os
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from workbench import job
from workbench.home import MISSING_TEXT


@pytest.fixture
def hub(reports, monkeypatch, tmp_path):
    """What the job knows of the hub that takes its reports, and the list of those it got."""
    api = "http://127.0.0.1:8081/hub/api"
    names = {"API_URL": api, "ACTIVITY_URL": f"{api}/users/ada/activity", "API_TOKEN": "t0ken"}
    names |= {"USER": "ada", "SERVER_NAME": "pyfai", "SERVICE_URL": "http://0.0.0.0:0/user/ada/"}
    for name, value in names.items():
        monkeypatch.setenv(f"JUPYTERHUB_{name}", value)
    monkeypatch.setenv(job.TUNNEL_VARIABLE, reports.tunnel)
    return reports.got


def test_what_is_reported_goes_to_the_servers_own_place(hub, tmp_path):
    job.begin_tunnel(tmp_path)
    job.report({"listening": True})
    assert hub == [("/hub/api/beamhub/jobs/ada/pyfai", "token t0ken", {"listening": True})]


def test_the_secret_of_the_way_is_not_passed_on_and_no_port_is(hub, tmp_path):
    job.begin_tunnel(tmp_path)
    assert job.TUNNEL_VARIABLE not in os.environ
    assert urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"]).port is None
    assert urlsplit(os.environ["JUPYTERHUB_ACTIVITY_URL"]).path == "/hub/api/users/ada/activity"


def test_a_hub_that_is_away_is_told_again(monkeypatch, hub):
    waited = []
    monkeypatch.setattr(job, "time", SimpleNamespace(sleep=waited.append))
    monkeypatch.setenv("JUPYTERHUB_API_URL", "http+unix://%2Fnonexistent/hub/api")
    job.report({"listening": True})
    assert waited[:6] == [1, 2, 4, 8, 15, 15]
    assert 600 <= sum(waited) < 620


def test_a_home_that_lets_no_server_run_is_reported_and_none_is_begun(hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    assert job.main() == 1
    [(_, _, told)] = hub
    assert told == {"problem": MISSING_TEXT.format(home=tmp_path / "nowhere")}


def test_what_is_reported_fits_what_the_portal_takes():
    assert job.plain("a\nb\x1f c  d") == "a b c d"
    assert len(job.plain("x" * 1000)) == job.PROBLEM_CHARACTERS_MAX


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
