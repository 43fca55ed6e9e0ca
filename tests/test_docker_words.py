"""What Docker says becomes a sentence with a next step."""

import pytest

from spawners.docker_words import ending_of, refusal_of

EXITED = {"Running": False, "OOMKilled": False, "ExitCode": 0}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({}, "removed from outside"),
        ({**EXITED, "OOMKilled": True, "ExitCode": 137}, "more than the 4 GiB of its size"),
        ({**EXITED, "ExitCode": 137}, "by signal 9"),
        ({**EXITED, "ExitCode": 143}, "by signal 15"),
        ({**EXITED, "ExitCode": 3}, "with exit status 3"),
        (EXITED, "shut down from inside"),
    ],
)
def test_why_a_container_ended(state, words):
    assert words in ending_of(state, "4 GiB")


def test_a_full_disk_is_read_from_what_the_server_said():
    output = "OSError: [Errno 28] No space left on device: '/home/jovyan/x'"
    assert "disk that holds your files is full" in ending_of({**EXITED, "ExitCode": 1}, "", output)
    assert "full" not in ending_of({**EXITED, "ExitCode": 137}, "", output)


def test_a_daemon_that_was_away_is_the_reason():
    assert "Docker was restarted" in ending_of(EXITED, "4 GiB", silent=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("error creating overlay mount: no space left on device", "disk of the machine"),
        ('could not select device driver "nvidia" with capabilities: [[gpu]]', "without one"),
        ("bind source path does not exist: /gpfs/data", "missing on this machine: /gpfs/data"),
        ("Range of CPUs is from 0.01 to 2.00", "fewer cores"),
        ("something\nnew  entirely", "Docker refused to start it: something new entirely"),
    ],
)
def test_why_docker_refused(text, words):
    assert words in refusal_of(text)
