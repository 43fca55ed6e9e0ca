"""Which images there are and what each is made of. Pure: nothing here runs or reads anything."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from ..usecases import UseCase

LICENCE = "BSD-3-Clause"
BASE, FOUNDATION, BUILD, HUB = "base", "foundation", "build", "hub"
RESERVED = (BASE, FOUNDATION, BUILD, HUB)
"""What no use case can be named: the images that belong to none."""

HOME = "/home/jovyan"
UID = 1000
"""The account inside every image."""
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
        "ldapauthenticator",
        "oauthenticator",
        "pamela",
        "psycopg",
        "spawners",
    ),
}
"""What the images without notebooks prove to have."""


@dataclass(frozen=True)
class Origin:
    """What images are made from.

    Parameters
    ----------
    version : str
        BeamHub's own.
    revision : str
        The commit, empty where it isn't known.
    source : str
        The address of the repository, empty where it isn't known.
    """

    version: str
    revision: str = ""
    source: str = ""


class ImageError(Exception):
    """An image can't be had; the text is for the person who asked."""


@dataclass(frozen=True)
class Image:
    """One image.

    Parameters
    ----------
    name : str
        The use case, or one of `RESERVED`.
    reference : str
        ``<registry>/<name>:<version>``.
    recipe : str
        The folder of ``images/`` that makes it.
    target : str or None
        The stage of the recipe to stop at, None for the last.
    needs : tuple of str
        The images that it's built on.
    arguments, labels : mapping of str to str
        Of the build.
    use_case : UseCase or None
        None for those of `RESERVED`.
    missing : str
        Why it can't be built, empty where it can.
    """

    name: str
    reference: str
    recipe: str
    target: str | None = None
    needs: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    use_case: UseCase | None = None
    missing: str = ""

    @property
    def published(self) -> bool:
        """Whether it's for servers; the others are only built on."""
        return self.name not in (FOUNDATION, BUILD)


def plan_images(
    use_cases: Mapping[str, UseCase],
    *,
    registry: str,
    origin: Origin,
    recipes: Collection[str],
) -> dict[str, Image]:
    """Return every image by name, each after those that it needs.

    Parameters
    ----------
    use_cases : mapping
        By name.
    registry : str
        What references begin with.
    origin : Origin
        What they are made from.
    recipes : collection of str
        The recipes that there are.

    Raises
    ------
    ImageError
        A use case has a name that an image has already.
    """
    for name in RESERVED:
        if name in use_cases:
            raise ImageError(
                f"{use_cases[name].folder}: a use case can't be named '{name}', since BeamHub "
                "has an image of that name itself. Rename its folder."
            )
    images = {image.name: image for image in common_images(registry, origin, recipes)}
    for use_case in use_cases.values():
        images[use_case.name] = use_case_image(use_case, images, registry, origin, recipes)
    return images


def common_images(registry: str, origin: Origin, recipes: Collection[str]) -> list[Image]:
    """Return the images that belong to no use case."""
    base, hub = (reference(registry, name, origin.version) for name in (BASE, HUB))
    return [
        Image(BUILD, f"{base}-{BUILD}", BASE, target=BUILD),
        Image(FOUNDATION, f"{base}-{FOUNDATION}", BASE, target=FOUNDATION, needs=(BUILD,)),
        Image(
            BASE,
            base,
            BASE,
            needs=(FOUNDATION,),
            arguments={"NAME": BASE, "VERSION": origin.version},
            labels=own_labels("JupyterLab with BeamHub's workbench", origin),
        ),
        Image(
            HUB,
            hub,
            HUB,
            needs=(BUILD,),
            arguments={"BUILD": f"{base}-{BUILD}", "NAME": HUB, "VERSION": origin.version},
            labels=own_labels("BeamHub's portal: hub and proxy", origin),
            missing="" if HUB in recipes else "can only be made in a checkout of BeamHub",
        ),
    ]


def use_case_image(
    use_case: UseCase,
    common: Mapping[str, Image],
    registry: str,
    origin: Origin,
    recipes: Collection[str],
) -> Image:
    """Return the image of a use case."""
    manifest = use_case.manifest
    return Image(
        name=use_case.name,
        reference=reference(registry, use_case.name, manifest.version),
        recipe=manifest.image_recipe,
        needs=(FOUNDATION, BUILD),
        arguments={
            "BUILD": common[BUILD].reference,
            "FOUNDATION": common[FOUNDATION].reference,
            "NAME": use_case.name,
            "VERSION": manifest.version,
            # A name of several words is one word here: it's compared without spaces.
            "GATED": " ".join(re.sub(r"\W+", "", g.program) for g in manifest.licence_gates),
        },
        labels=use_case_labels(use_case, origin),
        use_case=use_case,
        missing=missing(use_case, recipes),
    )


def missing(use_case: UseCase, recipes: Collection[str]) -> str:
    """Return why the image of a use case can't be built, empty where it can."""
    recipe = use_case.manifest.image_recipe
    if recipe not in recipes:
        return f"no recipe yet: there is no images/{recipe}"
    if use_case.manifest.coming:
        return f"coming: {use_case.manifest.coming[0]}"
    return ""


def repository(registry: str, name: str) -> str:
    """Return where a registry keeps all versions of an image."""
    return f"{registry}/{name}"


def reference(registry: str, name: str, version: str) -> str:
    """Return an image's reference. Tags know no '+', which Python's versions may have."""
    return f"{repository(registry, name)}:{version.replace('+', '-')}"


def common_labels(version: str, origin: Origin) -> dict[str, str]:
    """Return the labels that all images have."""
    labels = {
        "org.opencontainers.image.source": origin.source,
        "org.opencontainers.image.revision": origin.revision,
        "org.opencontainers.image.version": version,
    }
    return {name: value for name, value in labels.items() if value}


def own_labels(title: str, origin: Origin) -> dict[str, str]:
    """Return the labels of an image that belongs to no use case."""
    return {
        **common_labels(origin.version, origin),
        "org.opencontainers.image.title": title,
        "org.opencontainers.image.licenses": LICENCE,
    }


def use_case_labels(use_case: UseCase, origin: Origin) -> dict[str, str]:
    """Return the labels of a use case's image: what it is, its licences, documents and data."""
    manifest = use_case.manifest
    return {
        **common_labels(manifest.version, origin),
        "org.opencontainers.image.title": manifest.title,
        "org.opencontainers.image.description": manifest.summary,
        "org.opencontainers.image.authors": ", ".join(m.contact for m in manifest.maintainers),
        "org.opencontainers.image.documentation": str(manifest.software[0].url),
        "org.opencontainers.image.licenses": licences([s.licence for s in manifest.software]),
        "org.beamhub.use-case": use_case.name,
        # Data are never inside: the names tell what 'beamhub data fetch' can bring.
        "org.beamhub.data-sets": ", ".join(f"{use_case.name}/{n}" for n in manifest.data_sets),
    }


def licences(found: Iterable[str]) -> str:
    """Return one SPDX expression for software under several licences and our own files."""
    parts = sorted({LICENCE, *found})
    return " AND ".join(f"({part})" if " OR " in part else part for part in parts)


def select(images: Mapping[str, Image], names: Collection[str]) -> list[Image]:
    """Return the images of the given names, or all for servers that can be built if none is given.

    Raises
    ------
    ImageError
        There is no such image, or it can't be built yet.
    """
    if not names:
        return [image for image in images.values() if image.published and not image.missing]
    for name in names:
        if name not in images:
            near = get_close_matches(name, images, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"There are {', '.join(images)}."
            raise ImageError(f"There is no image '{name}'. {hint}")
        if images[name].missing:
            raise ImageError(f"The image '{name}' can't be made: {images[name].missing}")
    return [image for image in images.values() if image.name in names]


def with_needs(images: Mapping[str, Image], wanted: Iterable[Image]) -> dict[str, Image]:
    """Return images and all that they are built on, by name."""
    found: dict[str, Image] = {}
    waiting = list(wanted)
    while waiting:
        image = waiting.pop()
        found[image.name] = image
        waiting += [images[name] for name in image.needs if name not in found]
    return found


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

    There is no network, nothing but the home and /tmp can be written, and nobody is root.

    Raises
    ------
    ImageError
        It has no such notebook.
    """
    if image.use_case is None:
        return [*confined(memory_gib=1), image.reference, *import_command(IMPORTS[image.name])]
    name, manifest = image.use_case.name, image.use_case.manifest
    files = [n.file for n in manifest.notebooks]
    if notebook is not None and notebook not in files:
        raise ImageError(f"'{name}' has no notebook '{notebook}'. There are {', '.join(files)}.")
    command = ["python", "-P", "-m", "workbench.run", str(INSIDE / "notebooks" / name)]
    place = f"{HOME}/beamhub/{name}"
    return [
        *confined(memory_gib=manifest.resources.advised.memory_gib),
        image.reference,
        *command,
        place,
        *([notebook] if notebook else files),
    ]


def import_command(parts: Collection[str]) -> list[str]:
    """Return the command by which an image without notebooks is tested."""
    code = f"import {', '.join(parts)}\nprint('All {len(parts)} parts can be imported')"
    return ["python", "-P", "-c", code]


def confined(memory_gib: float) -> list[str]:
    """Return the options of a container that can do nothing but compute."""
    memory = f"{round(memory_gib * 1024)}m"
    # Kernels that are compiled while running lie in the home, so files there can be run.
    return [
        "run",
        "--rm",
        "--network=none",
        "--read-only",
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
