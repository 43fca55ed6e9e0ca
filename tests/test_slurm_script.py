"""The batch script: readable, and closed to all that isn't checked or quoted."""

import subprocess

import pytest

from spawners.slurm_script import ScriptError, job_name, job_script

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
    names = {"command": ["true"], "variables": {}, "modules": [], "prologue": ""}
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
    script = made(prologue="source /etc/site.sh", modules=["pyfai/1"])
    assert script.index("source /etc/site.sh") < script.index("module load pyfai/1")
    assert script.index("module load") < script.index("exec true")
