"""What outlives a run of the tests is found, whoever's child it has become."""

import subprocess

import psutil
import pytest

from tests import strays
from tests.strays import Watch

ORPHAN = "sleep 4242 & echo $!; read line"


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setattr(strays, "PATIENCE_S", 0)
    made = Watch()
    made.begin()
    return made


def test_an_orphan_is_found_by_its_command(watch):
    with subprocess.Popen(
        ["sh", "-c", ORPHAN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        pid = int(parent.stdout.readline())
        watch.look()
        parent.stdin.write("end\n")
    orphan = psutil.Process(pid)
    assert orphan not in psutil.Process().children(recursive=True)
    assert watch.left()[f"{pid}: sleep 4242"] == orphan
    orphan.kill()


def test_what_has_ended_in_time_is_no_stray(watch):
    with subprocess.Popen(["sleep", "4243"]) as child:
        watch.look()
        child.kill()
    assert not [line for line in watch.left() if "4243" in line]
