"""Bring a use case, a size, a site and a user together into one launch, or refuse.

Pure: nothing here reads a file, a clock or a network. Everything that a user can send goes
through `plan`, by form, link or REST alike; nothing else reaches a spawner.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeVar

from spawners import Bound, Launch
from workbench.manifest import App, Notebook

from .gates import NOBODY, Gate, Standing, gates
from .images.plan import reference
from .refusal import Refused, ask_whom, members_of, quoted
from .site import SiteProfile
from .sizing import NOTHING, Holding, choose_size, granted, refuse_over_limit
from .surroundings import environment, mounts, program_paths
from .usecases import UseCase

Value = TypeVar("Value")
OPTIONS = ("size", "notebook", "app", "safe")
SAFE = "yes"
"""The one value of `safe`; `workbench.home` says what becomes of such a start."""
LIKE_OURS = 0.8
"""How much a name is like one of `OPTIONS`, of 1, if it was meant to be that."""
FOR_THE_NEXT = ("licence", "bound", "members")
"""Refusals that end nothing: an acceptance or a group was taken back, or a limit was set."""


@dataclass(frozen=True)
class Asked:
    """What a user asked for beside the use case: all may be left to the portal.

    Parameters
    ----------
    size : str or None
        How much of everything.
    notebook : str or None
        The tutorial to begin with.
    app : str or None
        The program with a window to begin with, instead of a notebook.
    safe : str or None
        `SAFE` for a start that takes nothing of what lies in the user's home.
    """

    size: str | None = None
    notebook: str | None = None
    app: str | None = None
    safe: str | None = None


def ask(options: Mapping[str, object]) -> Asked:
    """Return what a form, a link or a REST call asked for.

    Parameters
    ----------
    options : mapping
        Untrusted: names to a text, or to a list of one text as forms have it.

    Raises
    ------
    Refused
        There is an option that doesn't exist, stands twice or isn't a text that it can be.
    """
    unknown = sorted(str(key) for key in options if key not in OPTIONS)
    if unknown:
        raise Refused(
            f"There is no option {quoted(unknown[0])}. Possible are {', '.join(OPTIONS)}.",
            reason="option",
        )
    asked = Asked(**{key: single(key, value) for key, value in options.items()})
    if asked.safe not in (None, SAFE):
        raise Refused(f"The option 'safe' can only be '{SAFE}'.", reason="option")
    return asked


def of_link(options: Mapping[str, Value]) -> dict[str, Value]:
    """Return what of a link is for the portal.

    Mail and social sites put options of their own behind the links that pass through them. What
    looks like one of ours stays, so that `ask` refuses it: a notebook must not be lost by a typo.
    """
    return {
        key: value
        for key, value in options.items()
        if get_close_matches(key[:20].lower(), OPTIONS, n=1, cutoff=LIKE_OURS)
    }


def single(key: str, value: object) -> str | None:
    """Return the one text of an option, None where it is empty."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        raise Refused(f"The option '{key}' must be one text.", reason="option")
    return value or None


def plan(
    name: str,
    asked: Asked,
    *,
    use_cases: Mapping[str, UseCase],
    site: SiteProfile,
    user: str,
    holding: Holding = NOTHING,
    standing: Standing = NOBODY,
    digests: Mapping[str, str] = {},
    bounds: Mapping[str, Bound] = {},
) -> Launch:
    """Return the launch of a use case at a site for a user.

    Parameters
    ----------
    name : str
        The use case, which is the server's name too. Untrusted.
    asked : Asked
        Size, and notebook or program. Untrusted.
    use_cases : mapping
        Every use case that the portal knows, by name.
    site : SiteProfile
        Where it shall run.
    user : str
        For whom.
    holding : Holding, optional
        What the user has running beside it.
    standing : Standing, optional
        The user's groups, and what they have accepted: only that opens licence gates, use cases
        and sizes for members.
    digests : mapping, optional
        Of images that a registry has: what a reference by tag stands for.
    bounds : mapping, optional
        What the site's machine makes of sizes for this user, by their names.

    Raises
    ------
    Refused
        There is no such use case, size or notebook here, or not for this user, it doesn't work
        yet, it needs a program whose terms the user hasn't accepted or more than the size grants,
        the machine would never run it, or the user's limit is reached.
    """
    use_case = find(name, use_cases, site)
    refuse_non_members(use_case, site, standing)
    opened = open_gates(use_case, site, standing)
    size_name, size = choose_size(use_case, asked.size, site, bounds, standing.groups)
    refuse_over_limit(size, holding, site)
    page, programs = beginning(use_case, asked, site)
    tagged = reference(site.registry, name, use_case.manifest.version)
    image = digests.get(tagged, tagged)
    return Launch(
        use_case=name,
        version=use_case.manifest.version,
        folder=use_case.folder,
        image=image,
        resources=granted(size, bounds.get(size_name, Bound())),
        programs=tuple(dict.fromkeys(programs)),
        start_page=page,
        environment={
            "BEAMHUB_IMAGE": image,
            **environment(use_case, size_name, size, site),
            **program_paths(opened, site),
            **({"BEAMHUB_SAFE_START": SAFE} if asked.safe else {}),
        },
        mounts=(*mounts(site), *(gate.mount for gate in opened)),
    )


def find(name: str, use_cases: Mapping[str, UseCase], site: SiteProfile) -> UseCase:
    """Return the use case of that name, if the site offers it and it works."""
    offered = [n for n in use_cases if site.offers(n)]
    if not name:
        raise Refused(
            f"A server is opened with the name of a use case: {', '.join(offered)}.",
            reason="use_case",
        )
    if name not in offered:
        near = get_close_matches(name[:40], offered, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else f" There are {', '.join(offered)}."
        raise Refused(
            f"{site.title} offers no use case {quoted(name)}.{hint} {ask_whom(site)}",
            reason="use_case",
            status=404,
        )
    use_case = use_cases[name]
    if use_case.manifest.coming:
        missing = " ".join(use_case.manifest.coming)
        raise Refused(
            f"{use_case.manifest.title} can't be opened yet. {missing} {ask_whom(site)}",
            reason="coming",
            status=409,
        )
    return use_case


def refuse_non_members(use_case: UseCase, site: SiteProfile, standing: Standing) -> None:
    """Refuse a use case that the site keeps for members of groups."""
    groups = site.use_case_groups.get(use_case.name, [])
    if groups and not standing.groups & set(groups):
        raise Refused(
            f"{site.title} offers {use_case.manifest.title} to members of {members_of(groups)} "
            f"only, and you are not one of them. {ask_whom(site)}",
            reason="members",
            status=403,
        )


def open_gates(use_case: UseCase, site: SiteProfile, standing: Standing) -> list[Gate]:
    """Return the gates that are open for a user.

    Raises
    ------
    Refused
        One without which nothing works isn't.
    """
    found = gates(use_case, site, standing)
    closed = [gate for gate in found if gate.terms.required and not gate.is_open]
    title = use_case.manifest.title
    page = f"{site.serving.url}/hub/usecases/{use_case.name}#licences"
    if absent := programs_of(closed, "absent"):
        raise Refused(
            f"{title} needs {absent}, which {site.title} does not have. {ask_whom(site)}",
            reason="program",
            status=409,
        )
    if members := programs_of(closed, "members"):
        raise Refused(
            f"{title} needs {members}, which {site.title} gives to members of certain groups only. "
            f"{ask_whom(site)}",
            reason="licence",
            status=403,
            page=page,
        )
    if closed:
        raise Refused(
            f"{title} needs {programs_of(closed, 'closed')}, whose terms you have not accepted. "
            "Read and accept them on the use case's page first.",
            reason="licence",
            status=403,
            page=page,
        )
    return [gate for gate in found if gate.is_open]


def programs_of(found: Iterable[Gate], state: str) -> str:
    """Return the programs of gates in a state, as a sentence names them."""
    return " and ".join(gate.terms.program for gate in found if gate.state == state)


def beginning(use_case: UseCase, asked: Asked, site: SiteProfile) -> tuple[str, list[str]]:
    """Return the page of the server to begin with, and the programs that have to be there."""
    programs = use_case.manifest.programs
    if asked.safe:
        return "/lab", []
    if asked.app is not None:
        return f"/beamhub/app/{check_app(use_case, asked.app, site)}", programs
    notebook = choose_notebook(use_case, asked.notebook, site)
    if notebook is None:
        return "/lab", programs
    page = f"/lab/tree/beamhub/{use_case.name}/{notebook.file}"
    return page, [*programs, *notebook.programs]


def windows(use_case: UseCase, site: SiteProfile) -> Mapping[str, App]:
    """Return the programs with windows that a site can show: they lie in the images."""
    return use_case.manifest.desktop_apps if site.backend.from_images else {}


def check_app(use_case: UseCase, asked: str, site: SiteProfile) -> str:
    """Return the program with a window to begin with."""
    possible = windows(use_case, site)
    if asked not in possible:
        there = f"There are {', '.join(possible)}." if possible else "There are none at this site."
        raise Refused(
            f"{use_case.manifest.title} has no program with a window named {quoted(asked)}. "
            f"{there} {ask_whom(site)}",
            reason="app",
            status=404,
        )
    return asked


def choose_notebook(use_case: UseCase, asked: str | None, site: SiteProfile) -> Notebook | None:
    """Return the notebook to open, None for JupyterLab's own start page."""
    if asked is None:
        return use_case.manifest.first_notebook
    if asked not in use_case.notebooks:
        raise Refused(
            f"{use_case.manifest.title} has no notebook {quoted(asked)}. "
            f"There are {', '.join(use_case.notebooks)}. {ask_whom(site)}",
            reason="notebook",
            status=404,
        )
    return use_case.notebooks[asked]
