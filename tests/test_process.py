"""The local spawner: what it sets up, limits, reports and remembers. Real processes throughout."""

import asyncio
import json
import os
import pwd
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from jupyterhub.spawner import SpawnException

import workbench
from hub.plan import Asked, plan
from spawners import environments
from spawners.accounts import own_account
from spawners.environments import BuildError
from spawners.payload import payload
from spawners.process import EnvironmentSpawner, created
from spawners.server_log import bounded_log
from spawners.server_socket import listening_socket
from spawners.shared_data import own_data_folder
from spawners.system_accounts import Account


@pytest.fixture
def spawner(laptop, a_user) -> EnvironmentSpawner:
    """The spawner of a small pyFAI server, set up as for a start."""
    user = a_user(laptop)
    spawner = user.get_or_create_spawner("pyfai", "pyFAI")
    launch = plan(
        "pyfai", Asked(size="small"), use_cases=laptop.use_cases, site=laptop.site, user="ada"
    )
    for trait, value in laptop.site.backend.traits(launch).items():
        setattr(spawner, trait, value)
    spawner.workbench_folder = str(Path(workbench.__file__).parent)
    return spawner


@pytest.fixture
def account(tmp_path):
    (tmp_path / "home").mkdir()
    return own_account(tmp_path / "home")


def failure(spawner) -> SpawnException:
    with pytest.raises(SpawnException) as caught:
        asyncio.run(spawner.start())
    return caught.value


def test_a_missing_program_is_named_before_anything_is_built(spawner):
    spawner.programs = ["sh", "no-such-program", "nor-this-one"]
    error = failure(spawner)
    assert error.status_code == 503
    assert error.message == (
        "This machine lacks no-such-program, nor-this-one, which this use case needs."
    )
    assert not Path(spawner.state_folder, "environments").exists()


def test_a_failed_build_is_told_in_words_and_its_log_kept_out_of_them(spawner, monkeypatch):
    async def broken(*_):
        raise BuildError("It could not be installed.", "uv's long log")

    monkeypatch.setattr(environments, "build", broken)
    error = failure(spawner)
    assert (error.status_code, error.reason) == (503, "environment")
    assert error.message == "It could not be installed."
    assert "long log" not in str(error)


@pytest.mark.parametrize("name", ["root", "no-such-account-here"])
def test_a_user_without_an_account_is_told(spawner, monkeypatch, name):
    async def nothing(*_):
        return Path(sys.prefix)

    monkeypatch.setattr(environments, "ensure", nothing)
    spawner.accounts = "system"
    spawner.user.orm_user.name = name
    error = failure(spawner)
    assert (error.status_code, error.reason) == (403, "account")


def test_the_process_gets_its_limits_and_umask(spawner, account):
    spawner._account = account
    spawner.cpu_limit, spawner.mem_limit = 1, "2G"
    code = (
        "import json, os, resource as r; print(json.dumps([len(os.sched_getaffinity(0)), "
        "r.getrlimit(r.RLIMIT_DATA), os.umask(0), os.getuid()]))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        preexec_fn=spawner.make_preexec_fn("ada"),
        capture_output=True,
        text=True,
        check=True,
    )
    cores, data, umask, uid = json.loads(said.stdout)
    assert cores == 1
    assert data == [2 * 2**30, 2 * 2**30]
    assert umask == 0o077
    assert uid == os.getuid()


def test_an_array_too_large_is_a_memory_error_and_not_the_end_of_the_machine(spawner, account):
    spawner._account = account
    spawner.mem_limit = "1G"
    said = subprocess.run(
        [sys.executable, "-c", "b = bytearray(2 * 2**30)"],
        preexec_fn=spawner.make_preexec_fn("ada"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    assert "MemoryError" in said.stderr


def test_more_cores_than_the_machine_has_are_all_that_it_has(spawner, account):
    spawner._account = account
    spawner.cpu_limit = 10_000
    said = subprocess.run(
        [sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"],
        preexec_fn=spawner.make_preexec_fn("ada"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(said.stdout) == len(os.sched_getaffinity(0))


def prepare(spawner, account) -> Path:
    """Set what the server of a use case runs, in an environment that isn't there."""
    state = Path(spawner.state_folder)
    notebooks = payload(state / "usecases", Path(spawner.use_case_folder))
    own_data_folder(state / "data", account)
    spawner._prepare(state / "environments/abc", notebooks, account)
    return state / "environments/abc"


def test_a_server_sees_its_environment_and_none_of_the_portals(spawner, account, monkeypatch):
    monkeypatch.setenv("OIDC_SECRET", "hunter2")
    monkeypatch.setenv("PYTHONPATH", "/portal")
    monkeypatch.setenv("LANG", "C.UTF-8")
    spawner._account = account
    environment = prepare(spawner, account)
    env = spawner.user_env({k: os.environ[k] for k in spawner.env_keep if k in os.environ})
    env |= spawner.environment
    assert env["PATH"].split(os.pathsep)[0] == str(environment / "bin")
    assert env["VIRTUAL_ENV"] == str(environment)
    assert (env["HOME"], env["USER"], env["LANG"]) == (str(account.home), account.name, "C.UTF-8")
    assert env["BEAMHUB_USE_CASE"] == "pyfai"
    assert env["OMP_NUM_THREADS"] == "1"
    assert (Path(env["BEAMHUB_NOTEBOOKS"]) / "01_calibrate.ipynb").is_file()
    assert "hunter2" not in env.values()
    assert "PYTHONPATH" not in env
    assert spawner.cmd == [str(environment / "bin/python"), "-P", "-m", "workbench.start"]
    assert spawner.notebook_dir == str(account.home)


def test_servers_share_a_folder_for_data_in_which_each_account_has_its_own(spawner, account):
    prepare(spawner, account)
    shared = Path(spawner.environment["BEAMHUB_DATA_CACHE"])
    assert shared == Path(spawner.state_folder) / "data"
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755
    if os.geteuid() == 0:
        about = (shared / str(account.uid)).stat()
        assert (about.st_uid, stat.S_IMODE(about.st_mode)) == (account.uid, 0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
@pytest.mark.parametrize("kind", ["folder", "link", "fifo", "root's"])
def test_what_others_left_in_the_place_of_an_accounts_folder_is_set_aside(tmp_path, kind):
    """As they could while everybody was allowed to write into the cache."""
    ada = Account("ada", 12345, 12345, tmp_path)
    cache, victim = tmp_path / "data", tmp_path / "victim"
    victim.mkdir(mode=0o700)
    cache.mkdir()
    cache.chmod(0o1777)
    place = cache / "12345"
    if kind == "link":
        place.symlink_to(victim)
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.mkdir()
    if kind != "root's":
        os.chown(place, 65534, 65534, follow_symlinks=False)
    for _ in range(2):
        own_data_folder(cache, ada)
        about = place.lstat()
        assert (about.st_uid, about.st_mode) == (12345, stat.S_IFDIR | 0o755)
        assert stat.S_IMODE(cache.stat().st_mode) == 0o755
    assert (victim.stat().st_uid, stat.S_IMODE(victim.stat().st_mode)) == (0, 0o700)
    assert len(list(cache.iterdir())) == (1 if kind == "root's" else 2)


def test_a_folder_for_data_that_the_site_names_is_taken_instead(spawner, account):
    spawner.environment = {"BEAMHUB_DATA_CACHE": "/gpfs/data"}
    prepare(spawner, account)
    assert spawner.environment["BEAMHUB_DATA_CACHE"] == "/gpfs/data"


def test_servers_are_told_of_a_proxy_only_if_its_address_holds_no_password(
    spawner, account, monkeypatch
):
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy:3128")
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    prepare(spawner, account)
    assert "http_proxy" in spawner.env_keep
    assert "HTTPS_PROXY" not in spawner.env_keep


def test_the_pending_page_hears_every_step_told_before_and_after_it_came(spawner):
    async def listen():
        heard = []
        spawner.report(5, "one")
        spawner.report(5, "one")
        spawner.report(10, "two")

        async def take():
            async for event in spawner.progress():
                heard.append((event["progress"], event["message"]))

        task = asyncio.ensure_future(take())
        await asyncio.sleep(0)
        spawner.report(90, "three")
        await asyncio.sleep(0.05)
        task.cancel()
        return heard

    assert asyncio.run(listen()) == [(5, "one"), (10, "two"), (90, "three")]


def test_a_process_is_found_again_after_a_restart_of_the_hub(spawner, laptop, a_user):
    with subprocess.Popen(["sleep", "5"]) as server:
        spawner.pid, spawner._pid_created = server.pid, created(server.pid)
        kept = json.loads(json.dumps(spawner.get_state()))
        again = a_user(laptop, "bob").get_or_create_spawner("pyfai", "pyFAI")
        again.load_state(kept)
        assert asyncio.run(again.poll()) is None
        server.kill()
        server.wait()
        assert asyncio.run(again.poll()) is not None
    assert "pid_created" not in again.get_state()


def test_the_end_of_a_server_is_noticed_without_asking(spawner):
    async def ended() -> None:
        noticed = asyncio.Event()
        spawner.add_poll_callback(noticed.set)
        spawner.start_polling()
        spawner.proc.kill()
        await asyncio.wait_for(noticed.wait(), 60)

    with subprocess.Popen(["sleep", "600"]) as spawner.proc:
        spawner.pid, spawner.poll_interval = spawner.proc.pid, 10_000
        asyncio.run(ended())
    assert spawner.ending == "It was ended from outside of the portal, by signal 9."


def test_the_address_of_a_server_outlives_the_hub_and_ends_with_the_server(spawner, tmp_path):
    spawner.pid = os.getpid()
    with listening_socket(tmp_path) as listener:
        path = listener.getsockname()
        spawner._take_address(path)
        kept = json.loads(json.dumps(spawner.get_state()))
        spawner._take_address("")
        spawner.load_state(kept)
        asyncio.run(spawner.run_post_stop_hook())
        assert not Path(path).exists()
    assert spawner.get_state()["socket"] == ""


def test_another_process_with_the_number_of_an_old_server_is_not_it(spawner):
    spawner.load_state({"pid": os.getpid(), "pid_created": created(os.getpid()) - 100})
    assert asyncio.run(spawner.poll()) == 0
    assert spawner.pid == 0


def test_a_server_that_never_began_ends_for_the_reason_kept_with_it(spawner):
    spawner.load_state({"ending": "It was not its turn."})
    assert asyncio.run(spawner.poll()) == 0
    assert spawner.ending == "It was not its turn."


def test_a_process_that_ended_was_never_created():
    ended = subprocess.Popen(["true"])
    deadline = time.monotonic() + 60
    while psutil.Process(ended.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert created(ended.pid) == 0
    ended.wait()
    assert created(ended.pid) == 0
    assert created(os.getpid()) == pytest.approx(psutil.Process().create_time())


@pytest.mark.usefixtures("keeper")
def test_a_servers_log_is_for_the_portals_account_only(spawner):
    with bounded_log(spawner.log_file) as log:
        log.write(b"hello")
    end = time.monotonic() + 30
    while spawner.log_file.read_text() != "hello":
        assert time.monotonic() < end
        time.sleep(0.01)
    assert spawner.log_file.parent.stat().st_mode & 0o077 == 0
    assert spawner.log_file.parent == Path(spawner.state_folder) / "logs"


@pytest.mark.skipif(os.geteuid() != 0, reason="changes to another account, which only root can do")
def test_root_gives_up_its_rights_before_the_server_runs(spawner, tmp_path):
    nobody = pwd.getpwnam("nobody")
    home = tmp_path / "nobody"
    home.mkdir()
    for folder in (home, *home.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    spawner._account = Account("nobody", nobody.pw_uid, nobody.pw_gid, home)
    said = subprocess.run(
        ["grep", "-E", "^(Uid|Gid|Groups):", "/proc/self/status"],
        preexec_fn=spawner.make_preexec_fn("ada"),
        capture_output=True,
        text=True,
        check=True,
    )
    # Real, effective, saved and file system ids: no way back to root, and no group of root's.
    uid, gid = str(nobody.pw_uid), str(nobody.pw_gid)
    found = dict(line.split(":") for line in said.stdout.splitlines())
    assert found["Uid"].split() == [uid] * 4
    assert found["Gid"].split() == [gid] * 4
    assert found["Groups"].split() == [gid]
