"""The batch script: readable, and closed to all that isn't checked or quoted."""

import os
import pwd
import re
import shlex
import shutil
import subprocess

import pytest

from hub.pages.jobs import Told
from spawners.slurm.script import HOME, Need, ScriptError, job_name, job_script
from spawners.tunnels import Tunnels

REQUESTS = {
    "name": job_name("0123", "pyfai"),
    "partition": "interactive",
    "account": "",
    "qos": "",
    "reservation": "",
    "constraint": "",
    "gres": "",
    "nprocs": "4",
    "memory": "4096M",
    "runtime": "480",
}


def made(requests=REQUESTS, **more):
    names = {"command": ["true"], "variables": {}, "prefix": "", "needs": [], "prologue": ""}
    return job_script(requests, **{**names, "exclusive": False, **more})


def directives(script):
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if "#SBATCH" in line]


def test_only_what_is_asked_for_is_in_it():
    script = made()
    assert script.startswith("#!/bin/bash\n#SBATCH --job-name=beamhub-0123-pyfai\n")
    assert directives(script)[1:] == [
        "--partition=interactive",
        "--nodes=1 --ntasks=1 --cpus-per-task=4",
        "--mem=4096M",
        "--time=480",
        "--no-requeue",
        "--export=NIL",
        "--chdir=/",
        "--output=/dev/null",
    ]


def test_all_that_can_be_asked_for():
    more = {"account": "a", "qos": "q", "reservation": "r", "constraint": "c|d", "gres": "gpu:2"}
    found = directives(made({**REQUESTS, **more}, exclusive=True))
    for line in ("--account=a", "--qos=q", "--reservation=r", "--constraint=c|d", "--gres=gpu:2"):
        assert line in found
    assert "--exclusive" in found


@pytest.mark.parametrize(
    "value", ["a b", "a\n#SBATCH --uid=0", "a;id", "$(id)", "`id`", "'", '"', "a\\b", "a\x00"]
)
def test_a_request_that_could_be_read_as_more_is_refused(value):
    for name in REQUESTS:
        with pytest.raises(ScriptError):
            made({**REQUESTS, name: value})


@pytest.mark.parametrize("name", ["A B", "A=1;id", "", "1A", "A\n", "BASH_FUNC_x%%"])
def test_a_variable_has_a_variables_name(name):
    with pytest.raises(ScriptError):
        made(variables={name: "x"})


@pytest.mark.parametrize(
    "value", ["plain", "two words", "'; touch x; '", "$(touch x)", "`touch x`", "a\nb", "{{ 7 }}"]
)
def test_values_and_arguments_arrive_as_they_are(tmp_path, value):
    script = made(
        variables={"SECRET": value}, command=["/usr/bin/printf", "%s|%s", value, "$SECRET"]
    )
    script = script.replace("exec ", 'printf "%s|" "$SECRET"; exec ')
    done = subprocess.run(["bash"], input=script, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == f"{value}|{value}|$SECRET"
    assert not list(tmp_path.iterdir())


def test_the_prologue_is_the_sites_own_and_modules_come_after_it():
    needs = [Need(("module", "load", "pyfai/1"), "There is no such module.")]
    script = made(prologue="source /etc/site.sh", needs=needs)
    assert script.index("source /etc/site.sh") < script.index("module load pyfai/1")
    assert script.index("module load") < script.index("exec true")


def run(script, **environment):
    environment = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(["bash"], input=script, capture_output=True, text=True, env=environment)


def variables():
    return {
        "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/hub/api",
        "JUPYTERHUB_API_TOKEN": "t0ken",
        "JUPYTERHUB_SERVER_NAME": "pyfai",
        "JUPYTERHUB_USER": "ada",
    }


WORDS = """a 'quoted' "word", a \\ and\tmore\n of $(it) ünlike `all`"""


@pytest.fixture(params=["openssl", "python3"])
def node(request, tmp_path):
    """The PATH of a node that has one of two programs by which a shell can speak encrypted."""
    for name in ("bash", "sleep", "test", "timeout", "touch", request.param):
        (tmp_path / name).symlink_to(shutil.which(name, path="/usr/bin:/bin"))
    return str(tmp_path)


@pytest.mark.parametrize("words", [WORDS, "x" * 30_000, '"' * 3000])
def test_what_is_missing_on_the_node_is_told_to_the_portal(reports, words, node):
    needs = [
        Need(("test", "-d", "/"), "Never told."),
        Need(("bash", "-c", f"printf %s {shlex.quote(words)} >&2; exit 1"), 'It isn\'t "there".'),
        Need(("touch", "/nonexistent/x"), "Never tried."),
    ]
    script = made(variables=variables(), tunnel=reports.tunnel, needs=needs, command=["echo", "x"])
    done = run(script, PATH=node)
    assert (done.returncode, done.stdout) == (1, "")
    [(path, authorization, told)] = reports.got
    assert (path, authorization) == ("/hub/api/beamhub/jobs/ada/pyfai", "token t0ken")
    assert told["problem"] == 'It isn\'t "there".'
    assert told["output"] == re.sub(r"[^ -~]", " ", words.encode().decode("latin-1"))[:2000]
    Told.model_validate(told)


def test_the_shell_tells_nothing_to_whoever_is_not_the_portal(reports, node, tmp_path):
    needs = [Need(("false",), "It isn't there.")]
    host, port, name, *_ = reports.tunnel.split()
    other = Tunnels(tmp_path / "other")
    other.folder.parent.mkdir()
    told = other.told(name, "s3cret", host, int(port))  # the same place, and another certificate
    script = made(variables=variables(), tunnel=told, needs=needs).replace("sleep 5", "break")
    assert run(script, PATH=node).returncode == 1
    assert reports.got == []


def test_a_module_changes_the_shell_that_the_server_begins_in():
    needs = [Need(("module", "load", "a/1"), "There is no such module.")]
    prologue = "module() { [ $1 = load ] && FOUND=$2 && export FOUND; }"
    script = made(prologue=prologue, needs=needs, command=["printenv", "FOUND"])
    assert run(script).stdout == "a/1\n"


def test_a_container_is_told_of_its_job_and_gpus_under_its_own_names():
    script = made(prefix="P_", variables={"A": "'; touch x"}, command=["env"])
    found = run(script, SLURM_JOB_END_TIME="17", SLURM_CONF="/x", CUDA_VISIBLE_DEVICES="").stdout
    assert {"P_A='; touch x", "P_SLURM_JOB_END_TIME=17", "P_CUDA_VISIBLE_DEVICES="} <= {
        *found.splitlines()
    }
    assert "P_SLURM_CONF" not in found
    assert "P_ROCR" not in found


def test_home_is_completed_by_the_node_and_by_nothing_else():
    script = made(command=["printf", "%s|", HOME, "$home", f"{HOME}/x"])
    assert run(script, HOME="/home/a b").stdout == "--home=/home/a b|$home|--home=$home/x|"
    own = pwd.getpwuid(os.getuid()).pw_dir
    assert run(script).stdout == f"--home={own}|$home|--home=$home/x|"
