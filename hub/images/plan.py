"""Which images there are and what each is made of. Pure: nothing here runs or reads anything."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from workbench.manifest import Manifest

from ..usecases import UseCase
from .labels import Origin, own_labels, use_case_labels

BASE, FOUNDATION, BUILD, DESKTOP, HUB = "base", "foundation", "build", "desktop", "hub"
RESERVED = (BASE, FOUNDATION, BUILD, DESKTOP, HUB)
"""What no use case can be named: the images that belong to none."""
LAST = "python"
"""The recipe that every use case's image ends with; one of its own makes what lies below."""


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
