"""The check's job: what its exit status says, and who listens meanwhile."""

import os
import socket
import subprocess
from ipaddress import IPv4Address

import pytest

from spawners.slurm.probe import MISSING, Probe, listening

LOCAL = IPv4Address("127.0.0.1")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        return int(made.getsockname()[1])


def run(probe: Probe, home) -> int:
    """Run what the job runs, here."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    return subprocess.run(probe.command, env=environment, capture_output=True).returncode


def test_it_says_one_thing_after_the_other_that_is_missing(tmp_path):
    port = free_port()
    there = Probe("small", "ada", "127.0.0.1", port, str(tmp_path), "bash")
    assert run(there, tmp_path) == 11
    with listening(LOCAL, port):
        assert run(there, tmp_path) == 0
        unseen = Probe("small", "ada", "127.0.0.1", port, str(tmp_path / "none"))
        assert run(unseen, tmp_path) == 12
        assert run(there, tmp_path / "none") == 13
        lacking = Probe("small", "ada", "127.0.0.1", port, program="no-such-program")
        assert run(lacking, tmp_path) == 14
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [*MISSING, "1"])
def test_each_status_is_a_sentence(status):
    probe = Probe("small", "ada", "10.0.0.5", 8081, "/software", "apptainer")
    assert not set("{}") & set(probe.missing(status))


def test_a_hub_that_listens_already_is_left_alone():
    with socket.create_server(("127.0.0.1", 0)) as hub:
        port = hub.getsockname()[1]
        with listening(LOCAL, port):
            pass
        socket.create_connection(("127.0.0.1", port)).close()
    with pytest.raises(OSError, match="assign requested address"):
        listening(IPv4Address("192.0.2.7"), port)
