"""What confines local servers: real control groups, real mounts, programs that mean ill in them."""

import os
import pwd
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from spawners import confinement, control_groups
from spawners.confinement import Confined, Offer
from spawners.control_groups import Group, GroupError, Trees, own_trees

NOBODY = pwd.getpwnam("nobody")
MB = 2**20
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can confine")


@pytest.fixture(scope="module")
def machine() -> Offer:
    """What this machine can give: for these tests all of it, where all has to be there."""
    found = confinement.offer()
    if lacking := confinement.told(found, unwanted=["io"]):
        if not os.environ.get("BEAMHUB_TEST_ALL"):
            pytest.skip(" ".join(lacking))
        pytest.fail(" ".join(lacking))
    return found


@pytest.fixture
def server(machine: Offer, tmp_path: Path) -> Iterator[Confined]:
    made = make(machine, tmp_path)
    yield made
    made.end()


def make(machine: Offer, *named: object, **other: int) -> Confined:
    limits = {"memory_bytes": 256 * MB, "processes_max": 40, "cores": 1, **other}
    name = confinement.name_of_start("1-pyfai")
    return confinement.confined(machine, "tests", name, **limits, named=map(str, named))


def inside(server: Confined, code: str, shell: bool = False) -> "subprocess.Popen[str]":
    """Start a program in a server, under an ordinary account."""

    def enter() -> None:
        os.umask(0o077)  # as the portal's
        server.walls.enter()
        os.setgid(NOBODY.pw_gid)
        os.setgroups([])
        os.setuid(NOBODY.pw_uid)

    return subprocess.Popen(
        ["/bin/bash" if shell else "/usr/bin/python3", "-c", code],
        preexec_fn=enter,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(server: Confined, code: str, shell: bool = False) -> str:
    with inside(server, code, shell) as process:
        out, _ = process.communicate(timeout=120)
    return out


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@as_root
def test_another_servers_temporary_files_are_not_there(server, machine):
    other = make(machine)
    try:
        for folder in ("/tmp", "/var/tmp", "/dev/shm"):
            assert (
                said(server, f"echo mine > {folder}/secret && cat {folder}/secret", True)
                == "mine\n"
            )
            assert "No such file" in said(other, f"cat {folder}/secret", True)
            assert not Path(folder, "secret").exists()
    finally:
        other.end()
    folder = server.folder
    assert (folder / "tmp/secret").is_file()
    assert folder.parent.stat().st_mode & 0o077 == 0
    server.end()
    assert not folder.exists()


@as_root
def test_what_the_server_needs_below_tmp_stays_in_sight(machine, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/here").write_text("kept")
    tmp_path.chmod(0o755)
    server = make(machine, tmp_path / "state", f"X=1:{tmp_path}/state/here")
    try:
        assert said(server, f"cat {tmp_path}/state/here", True) == "kept"
        assert server.walls.kept == (str(tmp_path / "state"),)
    finally:
        server.end()


@as_root
def test_no_service_starts_programs_for_a_server_outside_of_it(machine, monkeypatch):
    """As systemd does for whoever reaches its socket: those have no limit of the server's."""
    # A site's own stay as they are while this runs.
    with tempfile.TemporaryDirectory(dir="/run") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(confinement, "CLOSED", (*confinement.CLOSED, folder, f"{folder}/none"))
        with socket.socket(socket.AF_UNIX) as bus:
            bus.bind(f"{folder}/bus")
            bus.listen()
            Path(folder, "bus").chmod(0o666)
            code = f"import socket; socket.socket(socket.AF_UNIX).connect('{folder}/bus')"
            asked = subprocess.run(["/usr/bin/python3", "-c", code], user="nobody", cwd="/")
            assert asked.returncode == 0
            server = make(machine)
            try:
                assert "FileNotFoundError" in said(server, code)
                assert said(server, f"ls -A {folder}", True) == ""
                assert "Permission denied" in said(server, f"touch {folder}/x", True)
            finally:
                server.end()


@as_root
def test_programs_in_a_server_see_only_their_own_processes_and_few_devices(server):
    names = said(server, "cat /proc/[0-9]*/comm; ls /dev", True).split()
    assert "pytest" not in names
    assert {"null", "urandom", "shm", "pts"} <= set(names)
    assert not {"mem", "kmsg", "vda", "fuse", "kvm", "loop0"} & set(names)
    assert said(server, "import os; os.openpty(); print('a terminal')") == "a terminal\n"
    code = "import multiprocessing; multiprocessing.Lock(); print('a lock')"
    assert said(server, code) == "a lock\n"


@as_root
def test_a_program_that_runs_as_root_gives_nothing(server, tmp_path):
    target = Path("/usr/local/bin/beamhub-test-setuid")
    target.write_bytes(Path("/usr/bin/id").read_bytes())
    target.chmod(0o4755)
    try:
        outside = subprocess.run([target, "-u"], user="nobody", capture_output=True, text=True)
        assert outside.stdout == "0\n"
        assert said(server, f"{target} -u", True) == f"{NOBODY.pw_uid}\n"
    finally:
        target.unlink()


MANY = """
import subprocess, sys
each = [sys.executable, "-c", "import time; b = bytearray(100 * 2**20); time.sleep(600)"]
for process in [subprocess.Popen(each) for _ in range(4)]:
    process.wait()
"""


@as_root
def test_memory_is_the_servers_as_a_whole(server):
    """Each of the four is well below the limit of 256 MB, which holds for them together."""
    with inside(server, MANY) as process:
        wait_until(lambda: server.group.memory_kills >= 1)
        assert process.poll() is None
        server.end()


@as_root
def test_a_fork_bomb_stops_at_the_limit_and_ends_with_the_server(server, machine):
    other = make(machine)
    bomb = inside(server, "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass")
    try:
        wait_until(lambda: len(server.group.processes) == 40)
        assert len(server.group.processes) <= 40
        assert said(other, "print('well')") == "well\n"
    finally:
        other.end()
        assert server.end() >= 1
    bomb.wait(60)
    assert bomb.stdout is not None
    bomb.stdout.close()
    assert server.group.processes == set()
    assert not any(folder.exists() for folder in server.group.folders)


HIDES = """
import os, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.execve("/bin/sleep", ["kworker/0:1"[:9], "600"], {})
"""


@as_root
def test_what_hides_by_its_environment_and_session_ends_too(server):
    with inside(server, HIDES) as first:
        first.wait(60)
        wait_until(lambda: len(server.group.processes) == 1)
        hidden = [psutil.Process(pid) for pid in server.group.processes]
        server.end()
        _, alive = psutil.wait_procs(hidden, timeout=60)
        assert alive == []


@as_root
async def test_a_server_of_a_killed_hub_is_swept_and_a_known_one_is_not(server, machine, laptop):
    class Known:
        confined_as = server.group.server

    stray = make(machine)
    with inside(stray, "input()") as process:
        backend = laptop.site.backend
        assert await backend.sweep([Known()], portal="tests", state=Path()) == 1
        assert process.wait(60) == -9
    assert not stray.folder.exists()
    assert server.folder.exists()
    assert await backend.sweep([Known()], portal="another-portal", state=Path()) == 0


@as_root
def test_a_folder_that_somebody_else_has_made_is_not_taken(machine, monkeypatch, tmp_path):
    monkeypatch.setattr(confinement, "PLACE", tmp_path)
    (tmp_path / "beamhub-tests").mkdir()
    os.chown(tmp_path / "beamhub-tests", NOBODY.pw_uid, NOBODY.pw_gid)
    with pytest.raises(PermissionError, match="is not the portal's own"):
        make(machine)
    for folder in confinement.restored(machine, "tests", "x").group.folders:
        for left in folder.parent.iterdir():
            if left.is_dir():
                left.rmdir()


MOUNTS = """\
31 23 0:28 / {root} rw - tmpfs tmpfs rw
32 31 0:29 / {root}/memory rw - cgroup cgroup rw,memory
33 31 0:30 / {root}/pids rw - cgroup cgroup rw,pids
34 31 0:31 / {root}/blkio rw - cgroup cgroup rw,blkio
41 31 0:38 {inside} {root}/unified rw shared:3 - cgroup2 cgroup2 rw
"""


@pytest.mark.parametrize(
    ("cgroup", "inside", "offered", "limits", "unified"),
    [
        (
            "5:memory:/a\n4:pids:/\n3:blkio:/\n0::/a\n",
            "/",
            "",
            {"memory": "memory/a", "pids": "pids", "io": "blkio"},
            "unified/a",
        ),
        (
            "0::/a\n",
            "/",
            "cpu hugetlb io memory pids",
            dict.fromkeys(("cpu", "io", "memory", "pids"), "unified/a"),
            "unified/a",
        ),
        # In a container with a name space of groups, or one whose own group is the root here.
        ("0::/\n", "/", "memory", {"memory": "unified"}, "unified"),
        ("0::/a/b\n", "/a", "memory", {"memory": "unified/b"}, "unified/b"),
        # A portal that was started anew from where it had moved itself.
        ("0::/a/beamhub-portal\n", "/", "memory", {"memory": "unified/a"}, "unified/a"),
    ],
)
def test_own_groups_are_found_in_both_versions(tmp_path, cgroup, inside, offered, limits, unified):
    root = tmp_path / "cgroup"
    (tmp_path / "cgroup-of-process").mkdir()
    proc = tmp_path / "cgroup-of-process"
    (proc / "cgroup").write_text(cgroup)
    (proc / "mountinfo").write_text(MOUNTS.format(root=root, inside=inside))
    (root / unified).mkdir(parents=True)
    (root / unified / "cgroup.controllers").write_text(offered)
    found = own_trees(proc)
    assert found == Trees({name: root / at for name, at in limits.items()}, root / unified)


def test_limits_of_version_2_are_written_by_their_names(tmp_path):
    trees = Trees(dict.fromkeys(("memory", "pids", "cpu"), tmp_path), tmp_path)
    group = Group(trees, "p", "s")
    files = ("memory.max", "pids.max", "cpu.max", "memory.swap.max", "cgroup.subtree_control")
    (tmp_path / "beamhub-p/s").mkdir(parents=True)
    for name in files:
        (tmp_path / "beamhub-p" / name).touch()
        (tmp_path / "beamhub-p/s" / name).touch()
    group.make(memory_bytes=MB, processes_max=7, cores=1.5)
    told = {name: (tmp_path / "beamhub-p/s" / name).read_text() for name in files[:4]}
    assert told == {
        "memory.max": str(MB),
        "pids.max": "7",
        "cpu.max": "150000",
        "memory.swap.max": "0",
    }
    (tmp_path / "beamhub-p/s/memory.events").write_text("low 0\noom 4\noom_kill 3\n")
    assert group.memory_kills == 3


@as_root
def test_what_confinements_lay_in_goes_with_the_last_of_them(machine):
    server = make(machine)
    folders = [server.folder.parent, *(folder.parent for folder in server.group.folders)]
    confinement.clear(machine, "tests")
    assert all(folder.is_dir() for folder in folders)
    server.end()
    confinement.clear(machine, "tests")
    assert not any(folder.exists() for folder in folders)


def test_disks_are_what_is_no_file_and_has_a_size(tmp_path):
    sizes = {"sda": ("8:0", 9), "dm-0": ("252:0", 9), "loop0": ("7:0", 9), "sr0": ("11:0", 0)}
    for name, (number, size) in sizes.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "dev").write_text(f"{number}\n")
        (tmp_path / name / "size").write_text(f"{size}\n")
    assert control_groups.disks(tmp_path) == ["252:0", "8:0"]


def test_reading_and_writing_are_limited_in_version_2(tmp_path, monkeypatch):
    group = Group(Trees({"io": tmp_path}, tmp_path), "p", "s")
    (tmp_path / "beamhub-p/s").mkdir(parents=True)
    (tmp_path / "beamhub-p/s/io.max").touch()
    monkeypatch.setattr(control_groups, "disks", lambda: ["8:0"])
    group.make(memory_bytes=MB, processes_max=7, cores=1, disk_bytes_s=2_000_000)
    assert (tmp_path / "beamhub-p/cgroup.subtree_control").read_text() == "+io"
    assert (tmp_path / "beamhub-p/s/io.max").read_text() == "8:0 rbps=2000000 wbps=2000000"


@as_root
def test_the_kernel_takes_the_limit_of_reading_and_writing(machine):
    if not machine.has("io") or not control_groups.disks():
        pytest.skip("this machine limits no disks for control groups")
    server = make(machine, disk_bytes_s=2_000_000)
    try:
        files = ("io.max", "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device")
        places = [server.group.at("io") / name for name in files]
        told = [path.read_text() for path in places if path.exists()]
        assert told
        assert all(
            f"{d} " in text and "2000000" in text for d in control_groups.disks() for text in told
        )
    finally:
        server.end()


def test_what_nobody_asks_for_is_not_told_as_lacking(laptop, change):
    off = {"confinement": "off"}
    backend = laptop.site.backend.model_copy(update=off)
    limited = laptop.site.backend.model_copy(update={**off, "disk_mb_s": 50})
    assert set(limited.walls_lacking()) - set(backend.walls_lacking()) == {
        "Not here: reading and writing of disks is limited for a server as a whole "
        "(the site's profile leaves it off)."
    }
    assert limited.disk_bytes_s == 50_000_000


def test_a_machine_without_groups_says_so(monkeypatch):
    with pytest.raises(GroupError, match="shows no control groups"):
        control_groups.prepare(Trees())
    monkeypatch.setattr(control_groups, "SYSTEMD", Path("/"))
    with pytest.raises(GroupError, match="Delegate=yes"):
        control_groups.prepare(Trees({"memory": Path(sys.prefix)}))


def test_what_is_left_out_is_told_by_its_reason(laptop, change):
    backend = laptop.site.backend.model_copy(update={"confinement": "off"})
    told = backend.walls_lacking()
    assert len(told) == len(confinement.SENTENCES) - 1
    assert "(the site's profile leaves it off)." in told[0]
