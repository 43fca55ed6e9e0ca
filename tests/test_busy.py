"""Computing counts as use, but not for ever."""

import subprocess
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from workbench.busy import Watch, has_children

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
LONGEST = timedelta(hours=8)


class Server:
    """What of Jupyter's server is asked: its settings, kernels, and when it was used last."""

    def __init__(self, state: str = "idle", shell: int = 0) -> None:
        self.used = NOW
        times: dict[str, datetime] = {}
        shells = {"1": SimpleNamespace(ptyproc=SimpleNamespace(pid=shell))} if shell else {}
        manager = SimpleNamespace(terminals=shells)
        self.web_app = SimpleNamespace(
            settings={"last_activity_times": times, "terminal_manager": manager},
            last_activity=lambda: max([self.used, *times.values()]),
        )
        self.kernel_manager = SimpleNamespace(list_kernels=lambda: [{"execution_state": state}])

    def look(self, hours: float) -> datetime:
        """Return when it counts as used last, after a look so many hours later."""
        Watch(self, LONGEST).look(NOW + timedelta(hours=hours))
        return self.web_app.last_activity()


def test_a_busy_kernel_counts_as_use_up_to_the_bound():
    server = Server("busy")
    assert [server.look(hours) for hours in (1, 7.9)] == [
        NOW + timedelta(hours=hours) for hours in (1, 7.9)
    ]
    assert server.look(8.1) == NOW + timedelta(hours=7.9)
    server.used = NOW + timedelta(hours=9)
    assert server.look(10) == NOW + timedelta(hours=10)


def test_what_waits_for_its_user_does_not_count():
    assert Server("idle").look(1) == NOW


def test_a_terminal_counts_while_something_runs_in_it():
    with subprocess.Popen(["sh", "-c", "sleep 600 & read line"], stdin=subprocess.PIPE) as shell:
        try:
            assert wait_for_children(shell.pid)
            assert Server(shell=shell.pid).look(1) == NOW + timedelta(hours=1)
        finally:
            subprocess.run(["pkill", "-P", str(shell.pid)], check=True)
            shell.kill()
    assert Server(shell=shell.pid).look(1) == NOW


def wait_for_children(pid: int) -> bool:
    while not has_children(pid):
        pass
    return True


@pytest.mark.parametrize("pid", [0, 2**22 + 1])
def test_a_shell_that_is_gone_has_none(pid):
    assert not has_children(pid)
