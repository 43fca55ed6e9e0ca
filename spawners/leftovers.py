"""Processes that a server leaves behind: whatever its user started there and put aside."""

from collections.abc import Mapping

import psutil

from .marks import MARKS


def end_processes(marks: Mapping[str, str]) -> int:
    """Kill every process whose environment has all the marks, and return how many there were.

    This is for what people forget. A program that hides from it, by changing its environment, is
    stopped by nothing less than a container or an account of its own.
    """
    if set(marks) != set(MARKS):
        return 0
    found = [process for process in psutil.process_iter() if has_marks(process, marks)]
    for process in found:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    return len(found)


def has_marks(process: psutil.Process, marks: Mapping[str, str]) -> bool:
    """Return whether a process carries the marks; one that may not be looked into does not."""
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        return False
    return all(environment.get(name) == value for name, value in marks.items())
