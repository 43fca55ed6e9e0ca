"""Programs that tests run, and what they wait for."""

import socket
import subprocess
import time
from collections.abc import Callable

PATIENCE_S = 240
"""How long to wait for what takes seconds on an idle machine; only a failing test waits so long."""
PATIENCE_MS = PATIENCE_S * 1000


def said(*command: object, environment: dict[str, str] | None = None) -> str:
    """Return what a command says that has to succeed."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout.strip()


def wait_until(true: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.2)


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    """Return whether somebody listens at a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
