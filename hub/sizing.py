"""The size of a server: which ones a use case fits, which of them it gets, and what that grants.

Pure, as `plan` is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from spawners import Bound, Resources
from workbench.manifest import Needs

from .refusal import Refused, ask_whom, members_of, quoted
from .site import SiteProfile, Size
from .usecases import UseCase

RESOURCE_WORDS = {
    "cores": "{:g} cores",
    "memory_gib": "{:g} GiB of memory",
    "gpus": "{:g} GPUs",
}


@dataclass(frozen=True)
class Holding:
    """What a user has running already, the use case in question left out."""

    servers: int = 0
    cores: float = 0
    memory_gib: float = 0


NOTHING = Holding()


def choose_size(
    use_case: UseCase,
    asked: str | None,
    site: SiteProfile,
    bounds: Mapping[str, Bound],
    groups: frozenset[str],
) -> tuple[str, Size]:
    """Return the size that was asked for, or the one that suits the use case and its user best."""
    fitting = {n: s for n, s in site.sizes.items() if fits(use_case.manifest.resources.least, s)}
    title = use_case.manifest.title
    if not fitting:
        need = words(use_case.manifest.resources.least)
        raise Refused(
            f"{title} does not fit {site.title}: it needs at least {need}. {ask_whom(site)}",
            reason="resources",
        )
    if asked is not None and asked not in site.sizes:
        raise Refused(
            f"{site.title} has no size {quoted(asked)}. Possible are {', '.join(fitting)}.",
            reason="size",
        )
    closed = {name: why_closed(name, site, bounds, groups) for name in fitting}
    possible = {name: size for name, size in fitting.items() if not closed.get(name)}
    if asked is None and possible:
        return default_size(use_case, possible)
    asked = asked or next(iter(fitting))
    if asked not in fitting:
        raise Refused(
            f"{title} needs at least {words(use_case.manifest.resources.least)}, and the size "
            f"'{asked}' has {words(site.sizes[asked])}. Possible are {', '.join(fitting)}.",
            reason="resources",
        )
    if asked not in possible:
        others = f"Possible are {', '.join(possible)}." if possible else "No other size can either."
        raise Refused(
            f"{title} can't run in the size '{asked}' for you: {closed[asked]}. {others} "
            f"{ask_whom(site)}",
            reason="members" if members_wanted(asked, site, groups) else "bound",
            status=409,
        )
    return asked, site.sizes[asked]


def why_closed(
    name: str, site: SiteProfile, bounds: Mapping[str, Bound], groups: frozenset[str]
) -> str:
    """Return why a size can't be had by somebody in these groups, empty where it can."""
    if wanted := members_wanted(name, site, groups):
        return f"it is for members of {wanted}"
    return bounds[name].closed if name in bounds else ""


def members_wanted(name: str, site: SiteProfile, groups: frozenset[str]) -> str:
    """Return for whose members a size is, empty for somebody in one of these groups who may."""
    wanted = site.sizes[name].groups
    return "" if not wanted or groups & set(wanted) else members_of(wanted)


def granted(size: Size, bound: Bound) -> Resources:
    """Return what a server of a size is given: the machine may bound an undeclared walltime."""
    resources = size.model_dump(include=set(Resources.model_fields))
    bounded = {"walltime_h": bound.walltime_h} if bound.walltime_h else {}
    return Resources(**resources | bounded)


def default_size(use_case: UseCase, fitting: Mapping[str, Size]) -> tuple[str, Size]:
    """Return the smallest size that is as large as advised, else the largest that fits."""
    advised = [i for i in fitting.items() if fits(use_case.manifest.resources.advised, i[1])]
    return advised[0] if advised else list(fitting.items())[-1]


def fits(need: Needs, size: Resources) -> bool:
    """Return whether a size grants what is needed."""
    return all(getattr(size, name) >= getattr(need, name) for name in RESOURCE_WORDS)


def words(amount: Needs | Resources) -> str:
    """Return an amount of resources as a person says it."""
    values = [(text, getattr(amount, name)) for name, text in RESOURCE_WORDS.items()]
    said = [text.format(value) for text, value in values if value]
    return re.sub(r"\b1 (core|GPU)s\b", r"1 \1", ", ".join(said))


def refuse_over_limit(size: Size, holding: Holding, site: SiteProfile) -> None:
    """Refuse what would exceed the user's share of the site."""
    limits = site.limits
    if holding.servers >= limits.servers:
        raise Refused(
            f"You have {holding.servers} use cases open, and {site.title} allows {limits.servers} "
            "at a time. Stop one that you no longer need, then try again.",
            reason="limit",
            status=409,
        )
    for name in ("cores", "memory_gib"):
        allowed, wanted = getattr(limits, name), getattr(holding, name) + getattr(size, name)
        if allowed is not None and wanted > allowed:
            text = RESOURCE_WORDS[name]
            raise Refused(
                f"With this one your use cases would have {text.format(wanted)}, and {site.title} "
                f"allows {text.format(allowed)}. Stop one, or choose a smaller size.",
                reason="limit",
                status=409,
            )
