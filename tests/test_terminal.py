"""The terminal stays for people: what programs say goes to the log."""

import os
import subprocess
import sys

from hub.terminal import Terminal

CODE = """
import subprocess, sys
from pathlib import Path
from hub.terminal import Terminal
terminal = Terminal(sys.stdout)
terminal.divert(Path(sys.argv[1]))
print("by a program")
print("an error", file=sys.stderr)
subprocess.run(["echo", "by a child"])
terminal.say("for a person")
"""


def run(log):
    return subprocess.run(
        [sys.executable, "-c", CODE, str(log)], capture_output=True, text=True, check=True
    )


def test_a_portal_whose_terminal_is_gone_goes_on():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(os.dup(writer), "w") as gone:
        Terminal(gone).say("Ending 1 server …")
        # Python would say it once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), gone.fileno())
    os.close(writer)


def test_only_what_is_for_people_is_seen(tmp_path):
    log = tmp_path / "portal.log"
    said = run(log)
    assert (said.stdout, said.stderr) == ("for a person\n", "")
    assert set(log.read_text().splitlines()) == {"by a program", "an error", "by a child"}


def test_the_log_is_for_its_owner_and_goes_on(tmp_path):
    log = tmp_path / "portal.log"
    run(log)
    run(log)
    assert log.read_text().count("by a child") == 2
    assert log.stat().st_mode & 0o077 == 0


def test_a_log_too_large_is_put_aside_once(tmp_path):
    log = tmp_path / "portal.log"
    with log.open("wb") as file:
        file.truncate(20_000_001)
    run(log)
    assert log.stat().st_size < 100
    assert (tmp_path / "portal.log.1").stat().st_size > 20_000_000
