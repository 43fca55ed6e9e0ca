"""A portal that somebody started in a folder, and from a shell, that another person prepared."""

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from portals import RunningPortal

from spawners.reserved_accounts import HUB, LOG_KEEPER, PROXY

pytestmark = [pytest.mark.portal, pytest.mark.slow]

PYTHON = """\
import sys
open({marks!r} + "/{name}", "a").write(" ".join(sys.orig_argv) + "\\n")
"""
SHELL = '#!/bin/sh\necho "$0 $*" >> {marks}/{name}\nexit 1\n'
IN_FOLDER = ("jupyterhub_idle_culler/__init__", "workbench/__init__", "json", "random", "ctypes")
ON_PATH = ("jupyterhub_idle_culler/__init__", "sitecustomize", "usercustomize")
PROGRAMS = ("uv", "useradd", "node", "python", "python3", "env", "sh", "g++", "ldconfig")


def prepare(folder: Path, marks: Path) -> None:
    """Put in place what must not be run; each leaves a mark."""
    for path in (
        *(folder / f"{name}.py" for name in IN_FOLDER),
        *(folder / f"path/{name}.py" for name in ON_PATH),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PYTHON.format(marks=str(marks), name=path.stem))
    for name in PROGRAMS:
        (folder / name).write_text(SHELL.format(marks=marks, name=name))
        (folder / name).chmod(0o755)
    (folder / "uv.toml").write_text("this isn't a setting")
    (folder / "pyproject.toml").write_text("[tool.uv]\nnor = 'this'\n")
    (folder / "pip.conf").write_text("[global]\nindex-url = http://127.0.0.1:9/\n")
    (folder / "bash_env").write_text(f"echo bash >> {marks}/bash_env\n")
    script = f"require('fs').appendFileSync('{marks}/node_options', process.argv.join(' '))"
    (folder / "hook.js").write_text(script)
    (folder / "package.json").write_text('{"type": "module", "main": "hook.js"}')
    package = folder / "node_modules/configurable-http-proxy/bin"
    package.mkdir(parents=True)
    (package / "configurable-http-proxy").write_text(script)


def test_none_of_it_is_run(state_folder: Callable[[], Path], tmp_path: Path) -> None:
    folder, marks = tmp_path / "folder", tmp_path / "marks"
    for made in (folder, marks):
        made.mkdir()
        made.chmod(0o777)
    prepare(folder, marks)
    hostile = {
        "PYTHONPATH": f"{folder}/path",
        "PYTHONSTARTUP": f"{folder}/json.py",
        "PYTHONUSERBASE": str(folder),
        "NODE_OPTIONS": f"--require={folder}/hook.js",
        "NODE_PATH": f"{folder}/node_modules",
        "BASH_ENV": f"{folder}/bash_env",
        "ENV": f"{folder}/bash_env",
        "PIP_CONFIG_FILE": f"{folder}/pip.conf",
        "UV_CONFIG_FILE": f"{folder}/uv.toml",
        "GIT_SSH_COMMAND": f"{folder}/env",
    }
    path = os.pathsep.join([".", "", str(folder), os.environ["PATH"]])
    portal = RunningPortal(
        state_folder(), environment={**os.environ, **hostile, "PATH": path}, folder=folder
    )
    try:
        client = portal.login("ada")
        portal.start_server(client, "pyfai", size="small")
        children = [
            child
            for child in psutil.Process(portal.process.pid).children(recursive=True)
            if child.uids().real in (os.geteuid(), HUB, PROXY, LOG_KEEPER)
            # The hub is the process that was started here, gone on without its rights.
            and child != portal.hub
        ]
        names = [" ".join(child.cmdline()) for child in children]
        for part in ("hub.culling", "configurable-http-proxy"):
            assert any(part in name for name in names), names
        for child in children:
            assert child.cwd() in ("/", str(portal.state / "homes/ada")), child.cmdline()
            assert not hostile.keys() & child.environ().keys(), child.cmdline()
    finally:
        portal.stop()
    seen = {mark.name: mark.read_text().splitlines() for mark in marks.iterdir()}
    # Python obeys PYTHONPATH before any code of the portal's runs; its children don't any more.
    own = {"sitecustomize", "usercustomize"}
    for name in own & seen.keys():
        seen[name] = [line for line in seen[name] if "beamhub serve" not in line]
    assert {name: lines for name, lines in seen.items() if lines} == {}
