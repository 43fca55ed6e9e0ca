"""Run all tests, four groups beside each other: those with a cluster or containers mostly wait.

    .venv/bin/python tests/beside.py

Every line of pytest's comes with the name of its group. Each group has its daemons for itself; the
use cases' environments are made once for all. What fails then is run once more by itself: four
groups on few cores keep each other waiting.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from types import FrameType

QUICK = "not slow and not portal and not docker and not slurm"
GROUPS = {
    "docker": "docker",
    # Those with a cluster take half as long as the others: the quick ones go with them.
    "slurm": f"(slurm and not docker) or unhurried or ({QUICK})",
    "portal": "portal and not docker and not slurm and not unhurried",
    "others": "slow and not portal and not docker and not slurm",
}
FAILED = 1
"""Pytest's status where tests failed; others mean that it could not run them."""


def start(name: str, *options: str) -> subprocess.Popen[str]:
    """Begin to run the tests of a group."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "--durations=15", "-m", GROUPS[name]),
            *("-o", f"cache_dir=.pytest_cache/{name}", *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def say(name: str, line: str) -> None:
    """Print a line of a group's."""
    sys.stdout.write(f"{name:6} | {line}")
    sys.stdout.flush()


def pass_on(name: str, run: subprocess.Popen[str]) -> None:
    """Print what a group's run says, a line at a time."""
    assert run.stdout is not None
    for line in run.stdout:
        say(name, line)


def end(number: int, frame: FrameType | None) -> None:
    """Let who ends this end the groups too, with what they have started."""
    raise KeyboardInterrupt


def run_all(runs: dict[str, subprocess.Popen[str]]) -> dict[str, int]:
    """Wait for groups that run, passing on what they say, and return their statuses."""
    threads = [threading.Thread(target=pass_on, args=item) for item in runs.items()]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        for run in runs.values():
            run.send_signal(signal.SIGINT)
    return {name: run.wait() for name, run in runs.items()}


def main() -> int:
    """Run all groups, then what failed by itself, and return 0 if all passed in the end."""
    signal.signal(signal.SIGTERM, end)
    with tempfile.TemporaryDirectory(prefix="beamhub-test-", ignore_cleanup_errors=True) as shared:
        os.environ["BEAMHUB_TEST_ENVIRONMENTS"] = shared
        statuses = run_all({name: start(name) for name in GROUPS})
        for name in [name for name, status in statuses.items() if status == FAILED]:
            say(name, "Once more by themselves: the tests of this group that failed\n")
            statuses |= run_all({name: start(name, "--last-failed", "--exitfirst")})
    return int(any(statuses.values()))


if __name__ == "__main__":
    sys.exit(main())
