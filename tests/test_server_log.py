"""What a server says is kept in a file that can't fill the disk, and by nobody's loop."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from spawners import server_log
from spawners.reserved_accounts import LOG_KEEPER
from spawners.server_log import FIRST_BYTES, LARGEST_BYTES, LAST_BYTES, LEFT_OUT

PATIENCE_S = 60


def wait_for(condition) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def said(path: Path, code: str, **options) -> subprocess.Popen:
    with server_log.bounded_log(path) as log:
        return subprocess.Popen([sys.executable, "-c", code], stdout=log, stderr=log, **options)


def test_a_log_is_the_portals_alone_and_begins_anew(keeper, tmp_path):
    path = tmp_path / "logs/user-1-pyfai.log"
    for word in ("first", "second"):
        said(path, f"print('{word}')").wait(PATIENCE_S)
        wait_for(lambda word=word: path.read_text() == f"{word}\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


FLOOD = """
import os
os.write(1, b"the first words\\n")
for number in range(64):
    os.write(1, b"x" * (1 << 20))
os.write(1, b"\\nthe last words\\n")
"""


def test_a_flood_leaves_its_first_and_last_words(keeper, tmp_path):
    """64 MB, as a user's notebook can write with one line, past every quota."""
    path = tmp_path / "server.log"
    sizes = []
    flooding = said(path, FLOOD)
    while flooding.poll() is None:
        sizes.append(path.stat().st_size)
        time.sleep(0.01)
    wait_for(lambda: path.read_bytes().endswith(b"\nthe last words\n"))
    text = path.read_bytes()
    assert text.startswith(b"the first words\n") and LEFT_OUT in text
    assert FIRST_BYTES + LAST_BYTES <= len(text) <= LARGEST_BYTES
    assert max(sizes) <= LARGEST_BYTES + server_log.PIECE_BYTES
    used = psutil.Process(keeper._process.pid).cpu_times()
    assert used.user + used.system < 5, "it took more than 8 % of what writing it takes"


def test_a_flood_holds_up_nobody_else(keeper, tmp_path):
    flooding = said(tmp_path / "a.log", "import os\nwhile True: os.write(1, b'x' * 65536)")
    try:
        said(tmp_path / "b.log", "print('quiet')").wait(PATIENCE_S)
        wait_for(lambda: (tmp_path / "b.log").read_text() == "quiet\n")
        assert flooding.poll() is None
    finally:
        flooding.kill()
        flooding.wait()


SLOW = "import sys\nprint('before', flush=True)\nsys.stdin.read()\nprint('after', flush=True)"


def test_a_server_outlives_a_portal_that_is_killed(tmp_path):
    """What it says then is still kept; nothing ends it by a pipe that nobody reads."""
    path = tmp_path / "server.log"
    portal = f"""
import subprocess, sys, pathlib
from spawners.server_log import bounded_log
with bounded_log(pathlib.Path({str(path)!r})) as log:
    subprocess.Popen([sys.executable, "-c", {SLOW!r}], stdout=log, stderr=log)
print(flush=True)
sys.stdin.read()
"""
    reading, writing = os.pipe()
    killed = subprocess.Popen(
        [sys.executable, "-c", portal], stdin=reading, stdout=subprocess.PIPE, text=True
    )
    os.close(reading)
    killed.stdout.readline()
    keeper = next(
        c for c in psutil.Process(killed.pid).children() if server_log.__file__ in c.cmdline()
    )
    killed.kill()
    killed.wait()
    wait_for(lambda: path.read_text() == "before\n")
    os.close(writing)
    wait_for(lambda: path.read_text() == "before\nafter\n")
    keeper.wait(PATIENCE_S)
    killed.stdout.close()


def test_a_keeper_that_was_killed_is_replaced(keeper, tmp_path):
    said(tmp_path / "a.log", "print(1)").wait(PATIENCE_S)
    keeper._process.kill()
    keeper._process.wait()
    said(tmp_path / "b.log", "print(2)").wait(PATIENCE_S)
    wait_for(lambda: (tmp_path / "b.log").read_text() == "2\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_it_has_no_rights_of_roots(keeper, tmp_path):
    said(tmp_path / "a.log", "print(1)").wait(PATIENCE_S)
    wait_for(lambda: (tmp_path / "a.log").read_text() == "1\n")
    process = psutil.Process(keeper._process.pid)
    assert set(process.uids()) == set(process.gids()) == {LOG_KEEPER}
    assert process.environ().keys() <= {"LC_CTYPE"} and process.cwd() == "/"


def test_a_full_disk_stops_no_server(keeper, tmp_path):
    """Writing fails for the keeper, and the server goes on to its end."""
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as end:
        file = os.open("/dev/full", os.O_RDWR)
        keeper.take(reading, file)
        os.close(file)
        os.close(reading)
        done = subprocess.run([sys.executable, "-c", FLOOD], stdout=end, timeout=PATIENCE_S)
    assert done.returncode == 0
