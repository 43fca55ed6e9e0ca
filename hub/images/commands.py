"""What Docker is told in order to build and test images. Pure: nothing here runs anything."""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from .plan import BASE, HUB, Image, ImageError

HOME = "/home/jovyan"
UID = 2_001_000_000
"""A number that no image knows, as users' servers have."""
INSIDE = PurePosixPath("/opt/beamhub")
SOFTWARE_LIST = INSIDE / "software.cdx.json"
IMPORTS = {
    BASE: (
        "bash_kernel",
        "ipympl",
        "ipywidgets",
        "jupyter_resource_usage",
        "jupyterhub",
        "jupyterlab",
        "jupyterlab_h5web",
        "workbench",
    ),
    HUB: (
        "dockerspawner",
        "hub.app",
        "jupyterhub",
        "ldap3",
        "oauthenticator",
        "pamela",
        "psycopg",
        "spawners",
    ),
}
"""What the images without notebooks prove to have."""


def build_arguments(
    image: Image, *, secrets: Mapping[str, Path], passed: Iterable[str], network: str
) -> list[str]:
    """Return what follows ``docker`` to build an image; the context is the present folder.

    Parameters
    ----------
    image : Image
        What to build.
    secrets : mapping of str to Path
        Files that the build may read and the image doesn't keep.
    passed : iterable of str
        Variables, such as those of proxies, that the build takes from the environment.
    network : str
        Of the build's commands: 'default' or 'host'.
    """
    options = [
        ["--file", f"images/{image.recipe}/Dockerfile"],
        ["--tag", image.reference],
        ["--progress", "plain"],
        ["--network", network],
        *([["--target", image.target]] if image.target else []),
        *(["--build-arg", f"{name}={value}"] for name, value in image.arguments.items()),
        *(["--build-arg", name] for name in passed),
        *(["--label", f"{name}={value}"] for name, value in image.labels.items()),
        *(["--secret", f"id={name},src={path}"] for name, path in secrets.items()),
    ]
    return ["build", *(word for option in options for word in option), "."]


def self_test_arguments(image: Image, notebook: str | None = None) -> list[str]:
    """Return what follows ``docker`` to test an image: by its own notebooks, and nothing else.

    One without notebooks is tested by its parts. There is no network, nothing but the home and
    /tmp can be written, and nobody is root.

    Raises
    ------
    ImageError
        It has no such notebook.
    """
    if image.use_case is None:
        return [*confined(memory_gib=1), image.reference, *parts_command(IMPORTS[image.name])]
    name, manifest = image.use_case.name, image.use_case.manifest
    files = [n.file for n in manifest.notebooks]
    if notebook is not None and notebook not in files:
        there = f"There are {', '.join(files)}." if files else "It has none yet."
        raise ImageError(f"'{name}' has no notebook '{notebook}'. {there}")
    folder = str(INSIDE / "notebooks" / name)
    if files:
        place = f"{HOME}/beamhub/{name}"
        command = ["python", "-P", "-m", "workbench.run", folder, place]
        command += [notebook] if notebook else files
    else:
        command = parts_command(IMPORTS[BASE], f"{folder}/requirements.txt", manifest.programs)
    memory_gib = manifest.resources.advised.memory_gib
    return [*confined(memory_gib=memory_gib), image.reference, *command]


def parts_command(
    imports: Iterable[str], requirements: str = "", programs: Iterable[str] = ()
) -> list[str]:
    """Return the command by which an image without notebooks is tested."""
    words = ["python", "-P", "-m", "workbench.parts"]
    words += [f"--import={name}" for name in imports]
    words += [f"--requirements={requirements}"] if requirements else []
    return [*words, *(f"--program={name}" for name in programs)]


def confined(memory_gib: float) -> list[str]:
    """Return the options of a container that can do nothing but compute."""
    memory = f"{round(memory_gib * 1024)}m"
    # Kernels that are compiled while running lie in the home, so files there can be run.
    return [
        "run",
        "--rm",
        "--network=none",
        "--read-only",
        f"--user={UID}:{UID}",
        f"--env=HOME={HOME}",
        "--env=USER=jovyan",
        f"--tmpfs={HOME}:exec,mode=0700,uid={UID},gid={UID}",
        "--tmpfs=/tmp:exec,mode=1777",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--memory={memory}",
        f"--memory-swap={memory}",
        "--pids-limit=1024",
        "--shm-size=1g",
    ]


def list_arguments(image: Image) -> list[str]:
    """Return what follows ``docker`` to print an image's list of software."""
    return [
        "run",
        "--rm",
        "--network=none",
        "--entrypoint=cat",
        image.reference,
        str(SOFTWARE_LIST),
    ]
