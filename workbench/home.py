"""Whether a home lets a server run: looked at before it begins, and said with what to do about it.

A server that begins in a home where it can't write ends with a traceback that tells its user
nothing. So what Jupyter and the tutorials write to is looked at first, by the user's own account.
"""

import errno
import os
import pwd
import shlex
import stat
import tempfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from .here import setting

CANNOT_START = "BeamHub can't start: "
"""Begins the line by which a server that doesn't begin tells the portal why."""
SAFE_START = "SAFE_START"
"""The setting of a start that takes nothing of what lies in the home."""
TEST_BYTES = 65_536
FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_TEXT = (
    "The disk that holds your files is full. Remove what you don't need any more, or ask whoever "
    "runs the file system for room ({reason})."
)
MISSING_TEXT = (
    "Your home folder {home} is not there, or out of reach. Whoever runs this machine or its file "
    "system has to make it first; some make it when you log in there for the first time."
)
READ_ONLY_TEXT = "{what} is on a file system that can only be read now. Ask whoever runs it."


def is_safe_start() -> bool:
    """Return whether this server was asked to take nothing of what lies in the home."""
    return bool(setting(SAFE_START))


def obstacle(home: Path, use_case: str) -> str:
    """Return why a server can't run in a home, and what to do, in words; empty where it can.

    Parameters
    ----------
    home : Path
        The home of this process's account.
    use_case : str
        What is opened; its tutorials have a folder of their own.
    """
    if not is_folder(home):
        return MISSING_TEXT.format(home=home)
    if is_safe_start():
        looks = chain([unusable(home, os.R_OK | os.X_OK)])
    else:
        looks = chain(
            (blocked(folder, home) for folder in written_to(home, use_case)),
            [unwritten(home)],
        )
    problem = next(filter(None, looks), "")
    return problem[:1].upper() + problem[1:]


def written_to(home: Path, use_case: str) -> Iterable[Path]:
    """Return the folders that Jupyter, IPython and the tutorials write to."""
    return (
        home,
        Path(os.environ.get("JUPYTER_CONFIG_DIR") or home / ".jupyter"),
        Path(os.environ.get("JUPYTER_DATA_DIR") or home / ".local/share/jupyter"),
        Path(os.environ.get("IPYTHONDIR") or home / ".ipython"),
        home / "beamhub" / use_case,
    )


def blocked(folder: Path, home: Path) -> str:
    """Return why a folder can't be written, or made where it isn't there; empty where it can."""
    inside = [part for part in (*reversed(folder.parents), folder) if part.is_relative_to(home)]
    for part in inside:
        if not os.path.lexists(part):
            return unusable(part.parent, os.W_OK | os.X_OK)
        if problem := no_folder(part) or unusable(part, os.X_OK):
            return problem
    if not is_folder(folder):
        return ""  # the site has set another place, and whoever uses it makes it
    return unusable(folder, os.R_OK | os.W_OK | os.X_OK)


def is_folder(path: Path) -> bool:
    """Return whether there is a folder that this account reaches."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def no_folder(path: Path) -> str:
    """Return that something else lies where a folder has to be; empty where one is."""
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            return ""
    except FileNotFoundError:
        return (
            f"{short(path)} is a link to {path.readlink()}, which is not there. Remove the link: "
            f"rm {quoted(path)}"
        )
    except OSError as error:
        return f"{short(path)} can't be read: {error.strerror}."
    return (
        f"{short(path)} is a file, and a folder has to be there. Give it another name: "
        f"mv {quoted(path)} {quoted(path)}.mine"
    )


def unusable(folder: Path, rights: int) -> str:
    """Return that this account lacks rights to a folder, and how it gets them."""
    if os.access(folder, rights):
        return ""
    if rights & os.W_OK and os.statvfs(folder).f_flag & os.ST_RDONLY:
        return READ_ONLY_TEXT.format(what=short(folder))
    owner = folder.stat().st_uid
    if owner == os.getuid():
        return (
            f"{short(folder)} is yours, but its mode forbids you to use it. Change that: "
            f"chmod u+rwx {quoted(folder)}"
        )
    return (
        f"{short(folder)} belongs to {name_of(owner)}, so you can't use it, as after a command "
        f"with sudo. Who may use sudo gives it back: sudo chown -R {name_of(os.getuid())} "
        f"{quoted(folder)}. Others ask whoever runs this machine."
    )


def unwritten(home: Path) -> str:
    """Return why nothing can be written into a home, such as that its disk is full."""
    try:
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(bytes(TEST_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno in FULL:
            return FULL_TEXT.format(reason=error.strerror)
        if error.errno == errno.EROFS:
            return READ_ONLY_TEXT.format(what="your home folder")
        return f"Nothing can be written into your home folder: {error.strerror}."
    return ""


def short(path: Path) -> str:
    """Return a path as people write it."""
    home = Path.home()
    if path == home:
        return f"your home folder {path}"
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def quoted(path: Path) -> str:
    """Return a path as a shell takes it."""
    home = Path.home()
    if path != home and path.is_relative_to(home):
        return f"~/{shlex.quote(str(path.relative_to(home)))}"
    return shlex.quote(str(path))


def name_of(uid: int) -> str:
    """Return what an account is called, its number where it has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def own_places(folder: str) -> dict[str, str]:
    """Return variables by which nothing of a home is read or written by Jupyter and IPython.

    Parameters
    ----------
    folder : str
        A private one, where all of it lies instead until the server ends.
    """
    return {
        "JUPYTER_CONFIG_DIR": f"{folder}/config",
        "JUPYTER_DATA_DIR": f"{folder}/data",
        "JUPYTERLAB_SETTINGS_DIR": f"{folder}/settings",
        "JUPYTERLAB_WORKSPACES_DIR": f"{folder}/workspaces",
        "IPYTHONDIR": f"{folder}/ipython",
        "XDG_CACHE_HOME": f"{folder}/cache",
        "MPLCONFIGDIR": f"{folder}/matplotlib",
        "PYTHONNOUSERSITE": "1",
    }
