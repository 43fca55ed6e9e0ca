import os
import re
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.sockets import SocketError, Sockets, is_private, ready_sockets, sockets_of
from spawners.reserved_accounts import PROXY
from spawners.server_socket import is_dead, listening_socket, socket_url

NOBODY = 65534


@pytest.fixture
def sockets(tmp_path) -> Sockets:
    return Sockets(tmp_path / "run")


@pytest.fixture
def ordinary(monkeypatch) -> None:
    """Let this process take itself for one of an ordinary account, where root runs the tests."""
    monkeypatch.setattr("os.geteuid", lambda: NOBODY)


@pytest.fixture
def a_private_folder() -> Iterator[Path]:
    """A folder with a path as short as a usual one, that only its ordinary account may enter."""
    with tempfile.TemporaryDirectory(prefix="beamhub-test-", dir="/tmp") as made:
        folder = Path(made, "private")
        folder.mkdir(mode=0o700)
        if os.getuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder


only_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away, as only root can")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_anybody_may_pass_to_the_hub_and_nobody_to_servers_and_orders(sockets):
    with ready_sockets(sockets):
        assert mode(sockets.folder) == 0o711
        proxys = os.geteuid() == 0
        assert mode(sockets.servers) == (0o710 if proxys else 0o700)
        assert mode(sockets.orders.parent) == (0o770 if proxys else 0o700)
        with listening_socket(sockets.servers) as listener:
            path = Path(listener.getsockname())
            if proxys:
                assert mode(path) == 0o660
                for place in (path, sockets.servers, sockets.orders.parent):
                    assert (place.stat().st_uid, place.stat().st_gid) == (0, PROXY)
            path.unlink()
    assert not sockets.folder.exists()


def test_what_a_proxy_that_was_taken_over_left_in_its_folder_is_gone(sockets, tmp_path):
    with (
        listening_socket(tmp_path) as others,
        ready_sockets(sockets),
    ):
        sockets.orders.symlink_to(others.getsockname())
        (sockets.orders.parent / "folder").mkdir()
        with ready_sockets(sockets):
            assert [*sockets.orders.parent.iterdir()] == []
        assert Path(others.getsockname()).is_socket()


def test_what_a_killed_portal_left_goes_and_what_is_alive_stays(sockets):
    with ready_sockets(sockets):
        left, alive = listening_socket(sockets.servers), listening_socket(sockets.servers)
        old = socket.socket(socket.AF_UNIX)
        old.bind(str(sockets.orders))
    with alive:
        paths = [Path(s.getsockname()) for s in (left, alive, old)]
        left.close()
        old.close()
        with ready_sockets(sockets):
            assert [p.exists() for p in paths] == [False, True, False]
        assert sockets.servers.is_dir()


def test_a_socket_at_which_many_wait_is_not_dead(tmp_path):
    with listening_socket(tmp_path) as listener:
        listener.listen(0)
        path = listener.getsockname()
        waiting = []
        try:
            for _ in range(3):
                waiting.append(socket.socket(socket.AF_UNIX))
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(path)
            assert not is_dead(Path(path))
        finally:
            for client in waiting:
                client.close()
    assert is_dead(Path(path))


def test_a_link_in_its_place_is_refused_and_not_followed(sockets, tmp_path):
    other = tmp_path / "other"
    other.mkdir(mode=0o755)
    sockets.folder.symlink_to(other)
    with pytest.raises(SocketError, match="is not a folder of the account"), ready_sockets(sockets):
        pass
    assert mode(other) == 0o755
    assert [*other.iterdir()] == []


@only_root
def test_a_folder_of_another_account_in_its_place_is_refused(sockets):
    sockets.folder.mkdir(mode=0o755)
    os.chown(sockets.folder, NOBODY, NOBODY)
    with pytest.raises(SocketError, match="Have it removed"), ready_sockets(sockets):
        pass
    assert mode(sockets.folder) == 0o755


def test_a_place_where_others_can_put_another_folder_is_refused(sockets, tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(SocketError, match="Other accounts can change"), ready_sockets(sockets):
        pass


@only_root
def test_in_a_folder_as_tmp_is_nobody_can_put_another_in_its_place():
    with tempfile.TemporaryDirectory(prefix="beamhub-test-", dir="/tmp") as made:
        sockets = Sockets(Path(made, "run"))
        code = f"import os; os.rename({str(sockets.folder)!r}, {made + '/mine'!r})"

        def attempt() -> bytes:
            command = ["/usr/bin/python3", "-c", code]
            return subprocess.run(command, user=NOBODY, extra_groups=[], cwd="/", stderr=-1).stderr

        Path(made).chmod(0o1777)
        with ready_sockets(sockets):
            assert b"PermissionError" in attempt()
            assert sockets.folder.is_dir()
            Path(made).chmod(0o777)
            assert attempt() == b""


@pytest.mark.skipif(not shutil.which("systemd-tmpfiles"), reason="without systemd")
@only_root
def test_a_cleaner_of_temporary_folders_leaves_it_alone(sockets, tmp_path):
    rules = f"d {tmp_path} 1777 - - 1us\n".encode()

    def clean() -> None:
        subprocess.run(["systemd-tmpfiles", "--clean", "-"], input=rules, check=True)

    with ready_sockets(sockets):
        clean()
        assert sockets.servers.is_dir()
        (tmp_path / "other").mkdir()
    sockets.servers.mkdir(parents=True)
    clean()
    assert not sockets.folder.exists(), "this cleaner takes nothing away, so nothing was shown"


@only_root
def test_roots_sockets_lie_in_run_and_those_of_two_portals_apart(tmp_path):
    one, other = sockets_of(tmp_path / "one"), sockets_of(tmp_path / "other")
    assert one.folder.parent == Path("/run")
    assert one != other
    assert one == sockets_of(tmp_path / "one")


@only_root
@pytest.mark.usefixtures("ordinary")
def test_an_ordinary_accounts_lie_in_its_state_or_in_its_private_runtime_folder(
    a_private_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(a_private_folder))
    assert sockets_of(tmp_path).folder == tmp_path / "run"
    deep = tmp_path / "Ada"
    assert sockets_of(deep).folder.parent == a_private_folder
    a_private_folder.chmod(0o750)
    shared = sockets_of(deep).folder
    assert re.fullmatch(rf"/tmp/beamhub-{NOBODY}-[0-9a-f]{{16}}", str(shared))
    assert sockets_of(tmp_path / ("a" * 90)).folder.parent == Path("/tmp")
    assert sockets_of(tmp_path / ("a" * 90)).folder != shared == sockets_of(deep).folder


@only_root
@pytest.mark.usefixtures("ordinary")
def test_a_runtime_folder_that_is_not_its_own_is_not_taken(a_private_folder, tmp_path, monkeypatch):
    link = tmp_path / "link"
    link.symlink_to(a_private_folder)
    roots = tmp_path / "roots"
    roots.mkdir(mode=0o700)
    for named in (link, roots, Path("relative"), tmp_path / "none"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(named))
        assert not is_private(named)
        assert sockets_of(tmp_path / "Ada").folder.parent == Path("/tmp")


@only_root
@pytest.mark.usefixtures("ordinary")
def test_a_runtime_folder_with_a_path_that_does_not_work_is_passed_over(
    a_private_folder, tmp_path, monkeypatch
):
    large = a_private_folder.rename(a_private_folder.with_name("Private"))
    assert is_private(large)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(large))
    assert sockets_of(tmp_path / "Ada").folder.parent == Path("/tmp")


def test_an_address_names_the_whole_path():
    assert socket_url("/run/b c/x.sock") == "http+unix://%2Frun%2Fb%20c%2Fx.sock"
