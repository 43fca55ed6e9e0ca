"""Every process that the portal starts: where it stands, what it inherits, when it ends.

A portal that root starts runs as root whatever its children load. So they stand in ``/``, where
nobody else puts files; Python doesn't look into the current folder, users' packages or its own
variables; the environment is a short list, and programs are found in folders that only this
account and root can change. Whatever ends the portal ends them too.

All of the portal's own code starts processes by the functions of this module. A test reads the
source and makes sure.
"""

import asyncio
import grp
import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path("/")
START = Path(__file__).with_name("start_child.py")
UNPRIVILEGED = Path(__file__).with_name("start_unprivileged.py")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
KEPT = (
    *("LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM", "TMPDIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *PROXIES,
    *(name.lower() for name in PROXIES),
)
"""What children may be told of the environment that the portal was started in."""
FOR_UV = (
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"),
    *("UV_SYSTEM_CERTS", "UV_CACHE_DIR", "UV_HTTP_TIMEOUT", "UV_LINK_MODE", "UV_OFFLINE"),
    *("UV_TORCH_BACKEND", "UV_INDEX_STRATEGY", "UV_CONCURRENT_DOWNLOADS", "UV_INSECURE_HOST"),
)
FOR_DOCKER = (
    *("DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"),
    *("SSH_AUTH_SOCK", "XDG_RUNTIME_DIR"),
)
FOR_APPTAINER = tuple(
    f"{program}_{what}"
    for program in ("APPTAINER", "SINGULARITY")
    for what in ("TMPDIR", "CACHEDIR", "CONFIGDIR", "DOCKER_USERNAME", "DOCKER_PASSWORD")
)
LOADER_FAMILIES = ("PYTHON", "LD_", "PERL5", "RUBY", "GIT_")
LOADERS = ("NODE_OPTIONS", "NODE_PATH", "BASH_ENV", "ENV", "GLIBC_TUNABLES", "GCONV_PATH")
"""Variables, and beginnings of some, by which somebody else's code gets into a program."""


def child_environment(more: Iterable[str] = (), **own: str) -> dict[str, str]:
    """Return the environment of a child.

    Parameters
    ----------
    more : iterable of str
        Names of variables that it may be told of beside `KEPT`.
    **own : str
        Variables that the portal itself sets.
    """
    kept = {name: os.environ[name] for name in (*KEPT, *more) if name in os.environ}
    return {**kept, **account_variables(), "PATH": trusted_path(), **own}


def account_variables() -> dict[str, str]:
    """Return home and name of this process's account, as the machine has them for root.

    What root inherits from a shell of somebody else's names that person's home.
    """
    if os.geteuid() != 0:
        return {n: os.environ[n] for n in ("HOME", "USER", "LOGNAME") if n in os.environ}
    entry = pwd.getpwuid(0)
    return {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}


def trusted_path() -> str:
    """Return the PATH, without what others can put programs into."""
    folders = [Path(folder) for folder in absolute_path().split(os.pathsep)]
    return os.pathsep.join(str(folder) for folder in folders if not changed_by_others(folder))


def absolute_path() -> str:
    """Return the PATH without what depends on the current folder."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if folder.startswith("/"))


def changed_by_others(path: Path) -> bool:
    """Return whether an account other than this one and root can change what lies at a path.

    Whoever may write a folder above can put another in its place, unless the folder is sticky as
    ``/tmp`` is, where that needs the owner.
    """
    try:
        real = path.resolve()
        below: os.stat_result | None = None
        for part in (real, *real.parents):
            found = part.stat()
            sticky = below is not None and bool(found.st_mode & stat.S_ISVTX)
            if not sticky and not own(found):
                return True
            below = found
    except OSError:
        return False
    return False


def own(found: os.stat_result) -> bool:
    """Return whether only this account and root can write what has this status."""
    by_group = found.st_mode & stat.S_IWGRP and not own_group(found.st_gid)
    return not by_group and not found.st_mode & stat.S_IWOTH and found.st_uid in own_users()


@cache
def own_users() -> set[int]:
    """Return root, this account, and who became root by ``sudo``: that person is root already."""
    asked = os.environ.get("SUDO_UID", "") if os.geteuid() == 0 else ""
    return {0, os.geteuid(), *([int(asked)] if asked.isdigit() else [])}


@cache
def own_group(gid: int) -> bool:
    """Return whether nobody is in a group but root, this account, and who became root."""
    if gid == 0:
        return True
    try:
        members = {pwd.getpwnam(name).pw_uid for name in grp.getgrgid(gid).gr_mem}
    except KeyError:
        return False
    first = {entry.pw_uid for entry in pwd.getpwall() if entry.pw_gid == gid}
    return members | first <= own_users()


def python_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of the portal's own Python.

    ``-I`` takes nothing from the current folder, from packages of the account's, or from
    variables of Python's.
    """
    return [sys.executable, "-I", "-m", module, *arguments]


def ending_with_portal(
    command: Sequence[str], kept: Iterable[str] = ("*",), folder: str = "/"
) -> list[str]:
    """Return a command whose process stands in a folder of its own and ends with this one.

    Parameters
    ----------
    command : sequence of str
        The program, by its full path, and its arguments.
    kept : iterable of str
        Names of the variables that it keeps; all where left out.
    folder : str
        Where it stands.
    """
    return [*starter(os.getpid(), kept, folder), *command]


def outliving_portal(command: Sequence[str], kept: Iterable[str]) -> list[str]:
    """Return a command whose process stands in ``/`` and goes on when this one is killed."""
    return [*starter(0, kept, "/"), *command]


def starter(parent: int, kept: Iterable[str], folder: str) -> list[str]:
    """Return what comes before a command, see `spawners.start_child`."""
    return [sys.executable, "-I", "-S", str(START), str(parent), ",".join(kept), folder]


def unprivileged(command: Sequence[str], number: int, files: Iterable[Path] = ()) -> list[str]:
    """Return a command whose process is an account without rights, where root starts it.

    Parameters
    ----------
    command : sequence of str
        The program, by its full path, and its arguments.
    number : int
        Of the account, and of its group.
    files : iterable of Path
        What it gets to read though the account can't, see `spawners.start_unprivileged`.
    """
    given = (str(number), *map(str, files))
    return [sys.executable, "-I", "-S", str(UNPRIVILEGED), *given, "--", *command]


def found_program(program: str, environment: Mapping[str, str]) -> str:
    """Return the full path of a program.

    Raises
    ------
    FileNotFoundError
        It isn't on the environment's PATH.
    """
    path = shutil.which(program, path=environment.get("PATH", os.defpath))
    if path is None:
        raise FileNotFoundError(2, os.strerror(2), program)
    return path


def prepared(
    command: Sequence[str | Path], env: Mapping[str, str] | None, folder: Path
) -> tuple[list[str], dict[str, str]]:
    """Return what a command becomes, and its environment."""
    environment = dict(child_environment() if env is None else env)
    program, *arguments = map(str, command)
    full = [found_program(program, environment), *arguments]
    return ending_with_portal(full, folder=str(folder)), environment


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    folder: Path = ROOT,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """Run a command and wait for its end, as `subprocess.run` does.

    Parameters
    ----------
    command : sequence of str or Path
        The program and its arguments; paths among them are full ones.
    env : mapping, optional
        Its environment; `child_environment` where left out.
    folder : Path
        Where it stands: nobody else's.
    **options
        As `subprocess.run` takes them.

    Raises
    ------
    FileNotFoundError
        There is no such program.
    """
    full, environment = prepared(command, env, folder)
    return subprocess.run(full, env=environment, cwd="/", check=False, **options)


def begin(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    folder: Path = ROOT,
    **options: Any,
) -> "subprocess.Popen[Any]":
    """Start a command, as `subprocess.Popen` does; see `run`."""
    full, environment = prepared(command, env, folder)
    return subprocess.Popen(full, env=environment, cwd="/", **options)


def begin_outliving(command: Sequence[str | Path], **options: Any) -> "subprocess.Popen[Any]":
    """Start a command that goes on when this process is killed; see `outliving_portal`."""
    environment = child_environment()
    program, *arguments = map(str, command)
    full = [found_program(program, environment), *arguments]
    kept = outliving_portal(full, environment)
    return subprocess.Popen(kept, env=environment, cwd="/", **options)


async def start(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, **options: Any
) -> asyncio.subprocess.Process:
    """Start a command, as `asyncio.create_subprocess_exec` does; see `run`."""
    full, environment = prepared(command, env, ROOT)
    return await asyncio.create_subprocess_exec(*full, env=environment, cwd="/", **options)


def harmless(name: str) -> bool:
    """Return whether a variable doesn't bring code into a program."""
    return name not in LOADERS and not name.startswith(LOADER_FAMILIES)


def clean_own_environment() -> None:
    """Take out of this process and its environment what would load code, here and in children.

    Libraries start processes too, JupyterHub the proxy and services for example, and these
    inherit what this process has. What a site profile takes its secrets from stays.
    """
    added = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [folder for folder in sys.path if folder not in added]
    for name in [name for name in os.environ if not harmless(name)]:
        del os.environ[name]
    os.environ["PATH"] = absolute_path()
    os.environ.update(account_variables())
