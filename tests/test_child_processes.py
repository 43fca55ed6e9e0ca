"""Processes that the portal starts: all of them, by reading its source, and the rules they keep."""

import ast
import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from hub import own_code
from hub.usecases import NOTEBOOKS
from spawners import child_processes, environments

ROOT = NOTEBOOKS.parent
STARTS = {
    "subprocess": {"run", "Popen", "call", "check_call", "check_output", "getoutput"},
    "asyncio": {"create_subprocess_exec", "create_subprocess_shell"},
    "os": {"system", "popen", "posix_spawn", "posix_spawnp", "fork", "forkpty", "startfile"},
    "multiprocessing": {"Process", "Pool", "get_context"},
    "pty": {"spawn", "fork"},
}
BEGINNINGS = ("exec", "spawn")
"""Of functions in ``os`` that start a program or become one."""
ALLOWED = {
    # The module that all others use, and the script by which it does.
    ("spawners/child_processes.py", "subprocess.run"),
    ("spawners/child_processes.py", "subprocess.Popen"),
    ("spawners/child_processes.py", "asyncio.create_subprocess_exec"),
    ("spawners/start_child.py", "os.execve"),
    # Becomes the proxy, without root's rights.
    ("spawners/start_unprivileged.py", "os.execv"),
    # The helper of a hub without rights: a server as its user's account; parts by root's commands.
    ("spawners/rights/servers.py", "subprocess.Popen"),
    ("spawners/rights/parts.py", "subprocess.Popen"),
    # Ends what a server has left, beside the helper's other work; it has no threads.
    ("spawners/rights/helper.py", "os.fork"),
    # A start parts into hub and helper, before there is a thread.
    ("hub/parting.py", "os.fork"),
    ("hub/parting.py", "os.execv"),
    # Goes on when the portal is killed: with -I, in '/', without an environment or root's rights.
    ("spawners/server_log.py", "subprocess.Popen"),
    # Copies itself: in an environment's Python, without threads, which it makes sure of.
    ("spawners/forkserver.py", "os.fork"),
    # Tries each wall in a process that ends with it; a script of its own, without threads.
    ("spawners/confine.py", "os.fork"),
    # Becomes the proxy, with a short environment, in '/'.
    ("hub/cli/proxy.py", "os.execve"),
    # Under its user's own account, in a server: as its user may do anyway.
    ("workbench/start.py", "os.execv"),
    ("workbench/job.py", "subprocess.Popen"),
    ("workbench/desktop.py", "os.execvp"),
    # In the test of an image, where nothing is but the image.
    ("workbench/parts.py", "subprocess.run"),
}


def starts(tree: ast.AST) -> set[str]:
    """Return what in a module starts processes, by whatever name it was imported."""
    found, known = set(), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {(a.asname or a.name): a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            known |= {(a.asname or a.name): f"{node.module}.{a.name}" for a in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            first, *rest = ast.unparse(node).split(".")
            module, _, name = ".".join([known.get(first, first), *rest]).rpartition(".")
            module = module.removeprefix("asyncio.") if module.endswith("subprocess") else module
            wanted = STARTS.get(module, set())
            if name in wanted or (module == "os" and name.startswith(BEGINNINGS)):
                found.add(f"{module}.{name}")
    return found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import subprocess\nsubprocess.run(['x'])", {"subprocess.run"}),
        ("import subprocess as s\ns.Popen(['x'])", {"subprocess.Popen"}),
        ("from subprocess import check_output as c\nc(['x'])", {"subprocess.check_output"}),
        ("import os\nf = os.execvp", {"os.execvp"}),
        ("import asyncio\nasyncio.create_subprocess_exec", {"asyncio.create_subprocess_exec"}),
        ("from multiprocessing import Pool\nPool(3)", {"multiprocessing.Pool"}),
        ("import asyncio\nx: asyncio.subprocess.Process", set()),
        ("import subprocess\nsubprocess.PIPE", set()),
    ],
)
def test_starts_of_processes_are_found_under_any_name(code, found):
    assert starts(ast.parse(code)) == found


def test_every_process_of_the_portals_own_is_started_in_one_way():
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for folder in ("hub", "spawners", "workbench")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in starts(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == ALLOWED


def words(node: ast.AST) -> list[str]:
    """Return the texts among the elements or arguments of a list, tuple or call."""
    parts = getattr(node, "elts", None) or getattr(node, "args", None)
    parts = parts if isinstance(parts, list) else []
    return [str(part.value) for part in parts if isinstance(part, ast.Constant)]


def test_no_module_is_run_with_the_current_folder_before_pythons_own():
    seen = 0
    for folder in ("hub", "spawners", "workbench"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if "-m" in words(node):
                    seen += 1
                    assert {"-P", "-I"} & {*words(node)}, (path, node.lineno)
    assert seen > 5


@pytest.mark.parametrize("place", ["folder", "home"])
def test_uv_reads_no_settings_of_where_it_is_started_or_whose_shell_it_was(
    tmp_path, monkeypatch, place
):
    for file in (tmp_path / "uv.toml", tmp_path / ".config/uv/uv.toml"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("this isn't a setting")
    monkeypatch.chdir(tmp_path if place == "folder" else "/")
    if place == "home":
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    target = str(tmp_path / "environment")
    asyncio.run(environments.uv(["venv", "--python", environments.base_python(), target], print))
    assert (tmp_path / "environment/bin/python").exists()


def test_a_child_stands_in_the_root_with_a_short_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("SECRET", "hunter2")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    (tmp_path / "json.py").write_text("raise SystemExit('imported')")
    code = "import json, os; print(json.dumps([os.getcwd(), dict(os.environ)]))"
    command = [sys.executable, "-I", "-c", code]
    done = child_processes.run(command, capture_output=True, text=True)
    folder, environment = eval(done.stdout)
    assert folder == "/"
    assert environment["HTTPS_PROXY"] == "http://proxy:3128"
    assert not {"PYTHONPATH", "SECRET", "PWD"} & environment.keys()


def test_a_program_is_never_taken_from_the_current_folder_or_one_that_others_write(
    tmp_path, monkeypatch
):
    for folder in (tmp_path, tmp_path / "open"):
        folder.mkdir(exist_ok=True)
        (folder / "docker").write_text("#!/bin/sh\necho mine\n")
        (folder / "docker").chmod(0o755)
    (tmp_path / "open").chmod(0o777)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".::{tmp_path}/open:bin:/usr/bin:/bin")
    assert child_processes.trusted_path() == "/usr/bin:/bin"
    monkeypatch.setenv("PATH", f".::{tmp_path}/open")
    with pytest.raises(FileNotFoundError, match="docker"):
        child_processes.run(["docker"])


def test_a_folder_is_changed_by_others_if_one_above_it_is(tmp_path):
    below = tmp_path / "a/b"
    below.mkdir(parents=True)
    assert not child_processes.changed_by_others(below)
    (tmp_path / "a").chmod(0o777)
    assert child_processes.changed_by_others(below)
    # Where the folder is sticky, only an entry's owner can put another in its place.
    (tmp_path / "a").chmod(0o1777)
    assert not child_processes.changed_by_others(below)
    assert child_processes.changed_by_others(tmp_path / "a")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other accounts, as only root can")
def test_roots_code_is_not_to_be_others(tmp_path):
    module = tmp_path / "package/module.py"
    module.parent.mkdir()
    module.touch()
    assert list(own_code.changeable([module.parent])) == []
    module.chmod(0o666)
    assert list(own_code.changeable([module.parent])) == [module]
    module.chmod(0o644)
    os.chown(module, 65534, 65534)
    assert list(own_code.changeable([module.parent])) == [module]
    module.unlink()
    away = tmp_path / "away.py"
    away.touch(mode=0o666)
    away.chmod(0o666)
    module.symlink_to(away)
    assert list(own_code.changeable([module.parent])) == [module]


def test_what_goes_while_code_is_looked_at_is_left_out(tmp_path):
    both = {tmp_path / "one", tmp_path / "other"}
    for folder in both:
        folder.mkdir()
        folder.chmod(0o777)
    found = own_code.changeable_in(tmp_path)
    first = next(found)
    for folder in both:
        folder.rmdir()
    assert first in both
    assert list(found) == []


PARENT = """
import asyncio, subprocess, sys
from spawners import child_processes, environments
sleep = ["sleep", "600"]
first = child_processes.begin(sleep)
wrapped = subprocess.Popen(child_processes.ending_with_portal(["/bin/sleep", "600"]))
stays = subprocess.Popen(child_processes.outliving_portal(["/bin/sleep", "600"], ["PATH"]))
async def main():
    second = await child_processes.start(sleep)
    print(first.pid, wrapped.pid, second.pid, stays.pid, flush=True)
    await second.wait()
asyncio.run(main())
"""


def test_children_end_when_their_parent_is_killed():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        *ending, stays = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        parent.send_signal(signal.SIGKILL)
    try:
        _, alive = psutil.wait_procs(ending, timeout=60)
        assert alive == []
        assert stays.is_running()
    finally:
        stays.kill()


def test_a_child_whose_parent_is_gone_already_does_not_begin(tmp_path):
    command = child_processes.ending_with_portal(["/bin/touch", str(tmp_path / "begun")])
    command[4] = "1"
    assert subprocess.run(command).returncode == 1
    assert not (tmp_path / "begun").exists()


def test_a_missing_program_is_an_error_of_its_own():
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        asyncio.run(child_processes.start(["no-such-program"]))
    assert Path(child_processes.START).is_file()
