"""What a server's process does before its program: nothing of root's is left, and nobody waits."""

import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from spawners import confine
from spawners.confine import Walls
from spawners.entering import Entry
from spawners.system_accounts import Account

NOBODY = pwd.getpwnam("nobody")
FUSE = Path("/dev/fuse")
MNT_DETACH = 2
PATIENCE_S = 60
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")


def entry(home: Path) -> Entry:
    account = Account("nobody", NOBODY.pw_uid, NOBODY.pw_gid, home)
    cores = sorted(os.sched_getaffinity(0))[:1]
    return Entry(account, [NOBODY.pw_gid], Walls(), cores, memory_bytes=0, umask=0o077)


def passable(folder: Path) -> Path:
    """Return a home in a folder that other accounts can pass, unlike a test's own."""
    folder.chmod(0o711)
    (folder / "home").mkdir()
    return folder / "home"


@contextmanager
def never_answers(home: Path) -> Iterator[Callable[[], None]]:
    """Have a home's file system answer nothing, until what this gives is called.

    As that of a file server that is away; or one that its user has mounted there, as everybody can
    by FUSE.
    """
    server = os.open(FUSE, os.O_RDWR)
    options = f"fd={server},rootmode=40000,user_id={NOBODY.pw_uid},group_id={NOBODY.pw_gid}"
    confine.mount("silent", str(home), "fuse", 0, options)
    try:
        yield lambda: os.close(server)  # whoever waits is told of an error
    finally:
        confine.libc.umount2(str(home).encode(), MNT_DETACH)


@pytest.mark.skipif(not FUSE.exists(), reason="this machine has no FUSE")
def test_a_home_that_never_answers_holds_up_nobody_elses_start():
    """One process starts all servers, and waits until each has begun its program."""
    with (
        TemporaryDirectory(dir="/var/tmp") as folder,
        never_answers(home := passable(Path(folder))) as end,
        ThreadPoolExecutor() as pool,
    ):
        begin = pool.submit(subprocess.Popen, ["/bin/true"], cwd="/", preexec_fn=entry(home))
        begun, _ = wait([begin], PATIENCE_S)
        end()
        assert begun and begin.result().wait() == 0


CALLS = """
import ctypes, os
system = ctypes.CDLL(None)
JOIN, SEARCH, SESSION = 1, 10, -3
keyctl, add_key = {"x86_64": (250, 248), "aarch64": (219, 217)}[os.uname().machine]
"""
HAVE_A_TICKET = """
if system.syscall(keyctl, JOIN, b"root's") < 0:
    raise SystemExit("keyrings can't be had here")
assert system.syscall(add_key, b"user", b"ticket", b"secret", 6, SESSION) > 0
"""
LOOK = """
print(system.syscall(keyctl, SEARCH, SESSION, b"user", b"ticket", 0) > 0)
"""


def test_no_server_has_the_keys_of_root_or_of_another():
    """Tickets of Kerberos, tokens of AFS: whoever inherits a session's keyring can use them."""
    look = ["/usr/bin/python3", "-c", CALLS + LOOK]
    code = f"""{CALLS}{HAVE_A_TICKET}
import subprocess
from pathlib import Path
from test_entering import entry
inherits = subprocess.run({look}, capture_output=True, text=True).stdout
enter = dict(cwd="/", preexec_fn=entry(Path("/")))
print(inherits, subprocess.run({look}, capture_output=True, text=True, **enter).stdout)
"""
    folders = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": folders},
        capture_output=True,
        text=True,
    )
    if "can't be had" in done.stderr:
        pytest.skip("this machine gives nobody a keyring")
    assert done.stdout.split() == ["True", "False"], done.stderr
