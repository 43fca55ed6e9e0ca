"""Run all tests, three groups beside each other: those with a cluster or containers mostly wait.

    .venv/bin/python tests/beside.py

Every line of pytest's comes with the name of its group. Each group has its daemons for itself.
"""

import signal
import subprocess
import sys
import threading
from types import FrameType

GROUPS = {
    "slurm": "slurm and not docker",
    "docker": "docker",
    "others": "not slurm and not docker",
}


def start(marks: str) -> subprocess.Popen[str]:
    """Begin to run the tests with these marks."""
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "--durations=15", "-m", marks],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def pass_on(name: str, run: subprocess.Popen[str]) -> None:
    """Print what a group's run says, a line at a time."""
    assert run.stdout is not None
    for line in run.stdout:
        sys.stdout.write(f"{name:6} | {line}")
        sys.stdout.flush()


def end(number: int, frame: FrameType | None) -> None:
    """Let who ends this end the groups too, with what they have started."""
    raise KeyboardInterrupt


def main() -> int:
    """Run all groups, and return 0 if all passed."""
    signal.signal(signal.SIGTERM, end)
    runs = {name: start(marks) for name, marks in GROUPS.items()}
    threads = [threading.Thread(target=pass_on, args=item) for item in runs.items()]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        for run in runs.values():
            run.send_signal(signal.SIGINT)
    statuses = [run.wait() for run in runs.values()]
    return int(any(statuses))


if __name__ == "__main__":
    sys.exit(main())
