"""Which images there are and what each is made of. Pure: nothing here runs or reads anything."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from workbench.manifest import Manifest

from ..usecases import UseCase

LICENCE = "BSD-3-Clause"
BASE, FOUNDATION, BUILD, DESKTOP, HUB = "base", "foundation", "build", "desktop", "hub"
RESERVED = (BASE, FOUNDATION, BUILD, DESKTOP, HUB)
"""What no use case can be named: the images that belong to none."""
LAST = "python"
"""The recipe that every use case's image ends with; one of its own makes what lies below."""

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
        None for those of `RESERVED`, and for what is only built on.
    published : bool
        Whether it's for servers; the others are only built on.
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
    published: bool = True
    missing: str = ""

    @property
    def coming(self) -> bool:
        """Whether its use case can't be opened yet."""
        return self.use_case is not None and bool(self.use_case.manifest.coming)


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
        for image in use_case_images(use_case, images, registry, origin, recipes):
            images[image.name] = image
    return images


def common_images(registry: str, origin: Origin, recipes: Collection[str]) -> list[Image]:
    """Return the images that belong to no use case."""
    own = reference(registry, BASE, origin.version)
    build = Image(BUILD, f"{own}-{BUILD}", BASE, target=BUILD, published=False)
    foundation = Image(
        FOUNDATION,
        f"{own}-{FOUNDATION}",
        BASE,
        target=FOUNDATION,
        needs=(BUILD,),
        published=False,
    )
    desktop = Image(
        DESKTOP,
        f"{own}-{DESKTOP}",
        DESKTOP,
        needs=(FOUNDATION, BUILD),
        arguments={"BUILD": build.reference, "FOUNDATION": foundation.reference},
        published=False,
    )
    base = Image(
        BASE,
        own,
        BASE,
        needs=(FOUNDATION,),
        arguments={"NAME": BASE, "VERSION": origin.version},
        labels=own_labels("JupyterLab with BeamHub's workbench", origin),
    )
    hub = Image(
        HUB,
        reference(registry, HUB, origin.version),
        HUB,
        needs=(BUILD,),
        arguments={"BUILD": build.reference, "NAME": HUB, "VERSION": origin.version},
        labels=own_labels("BeamHub's portal: hub and proxy", origin),
        missing="" if HUB in recipes else "can only be made in a checkout of BeamHub",
    )
    return [build, foundation, desktop, base, hub]


def use_case_images(
    use_case: UseCase,
    common: Mapping[str, Image],
    registry: str,
    origin: Origin,
    recipes: Collection[str],
) -> list[Image]:
    """Return the image of a use case, after what a recipe of its own makes below it."""
    manifest = use_case.manifest
    own = reference(registry, use_case.name, manifest.version)
    below = common[DESKTOP if manifest.desktop_apps else FOUNDATION]
    images = []
    if manifest.image_recipe != LAST:
        below = programs_image(use_case, own, below, recipes)
        images.append(below)
    last = Image(
        name=use_case.name,
        reference=own,
        recipe=LAST,
        needs=(below.name, BUILD),
        arguments={
            "BUILD": common[BUILD].reference,
            "FOUNDATION": below.reference,
            "NAME": use_case.name,
            "VERSION": manifest.version,
            "GATED": " ".join(gated(manifest)),
        },
        labels=use_case_labels(use_case, origin),
        use_case=use_case,
        missing=below.missing or missing(LAST, recipes),
    )
    return [*images, last]


def programs_image(use_case: UseCase, own: str, below: Image, recipes: Collection[str]) -> Image:
    """Return what a use case's own recipe makes, on top of the foundation or the desktop."""
    recipe = use_case.manifest.image_recipe
    return Image(
        # A dot is in no use case's name.
        name=f"{use_case.name}.programs",
        reference=f"{own}-programs",
        recipe=recipe,
        needs=(below.name,),
        arguments={"FOUNDATION": below.reference},
        published=False,
        missing=missing(recipe, recipes),
    )


def gated(manifest: Manifest) -> list[str]:
    """Return the programs that the image of a use case must not contain, one word each."""
    names = [n for gate in manifest.licence_gates for n in (gate.program, *gate.commands)]
    # A name of several words is one word here: it's compared without spaces.
    return [re.sub(r"\W+", "", name) for name in names]


def missing(recipe: str, recipes: Collection[str]) -> str:
    """Return why a recipe's images can't be built, empty where they can."""
    return "" if recipe in recipes else f"no recipe yet: there is no images/{recipe}"


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
    """Return the images of the given names, or all for servers of today if none is given.

    Raises
    ------
    ImageError
        There is no such image, or it can't be built yet.
    """
    if not names:
        return [i for i in images.values() if i.published and not i.missing and not i.coming]
    for name in names:
        if name not in images:
            near = get_close_matches(name, images, n=1)
            there = ", ".join(image.name for image in images.values() if image.published)
            hint = f"Did you mean '{near[0]}'?" if near else f"There are {there}."
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


def with_arguments(
    images: Mapping[str, Image], given: Mapping[str, str], known: Mapping[str, Collection[str]]
) -> dict[str, Image]:
    """Return images with what a person said about their builds, each with what its recipe knows.

    Parameters
    ----------
    images : mapping of str to Image
        All that are going to be built.
    given : mapping of str to str
        By the name of the argument.
    known : mapping of str to collection of str
        The arguments of each recipe.

    Raises
    ------
    ImageError
        No recipe knows one of them.
    """
    free = {
        i.name: {*known[i.recipe]} - {*i.arguments} - {"NAME", "VERSION"} for i in images.values()
    }
    for name in given:
        if not any(name in names for names in free.values()):
            there = sorted({n for names in free.values() for n in names})
            raise ImageError(
                f"None of these images' builds has an argument '{name}'. "
                f"There are {', '.join(there)}."
            )
    return {
        name: replace(
            image,
            arguments={**image.arguments, **{n: v for n, v in given.items() if n in free[name]}},
        )
        for name, image in images.items()
    }


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
