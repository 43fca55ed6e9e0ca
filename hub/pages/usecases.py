"""The catalogue, and one page a use case."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from tornado import web

from spawners import Bound
from spawners.amounts import minutes_text
from workbench.bibliography import bibtex_of
from workbench.data.availability import offer
from workbench.data.cache import Cache
from workbench.data.catalogue import Known

from ..cards import card
from ..deployment import Deployment
from ..gates import gates
from ..launching import standing_of
from ..plan import Asked, find, windows
from ..refusal import Refused
from ..site import Size
from ..sizing import fits, members_wanted, why_closed, words
from ..usecases import UseCase
from .base import Page

NOTHING_ASKED = Asked()


class Catalogue(Page):
    """Every use case as a card."""

    @web.authenticated
    async def get(self) -> None:
        """Show the cards, those that can be opened first."""
        cards = [
            card(u, self.deployment, self.current_user) for u in self.deployment.offered.values()
        ]
        cards.sort(key=lambda c: not c.can_open)
        await self.show("catalogue.html", cards=cards)


class UseCasePage(Page):
    """What a use case does, ships and needs."""

    @web.authenticated
    async def get(self, name: str) -> None:
        """Show the use case."""
        use_case = self.deployment.offered.get(name)
        if use_case is None:
            await self.show_refusal(no_such_page(name, self))
            return
        places = await data_places_soon(self.deployment, use_case)
        names = await use_case_names(self, use_case)
        await self.show("usecase.html", data_places=places, **names)


async def use_case_names(
    page: Page, use_case: UseCase, asked: Asked = NOTHING_ASKED
) -> dict[str, object]:
    """Return what a template needs to show a use case and to offer its start."""
    site = page.deployment.site
    # First: it learns what bounds the sizes.
    found = await outlook(page)
    bounds = page.deployment.bounds_for(page.current_user.name)
    shown = card(use_case, page.deployment, page.current_user)
    standing = standing_of(page.current_user, page.deployment)
    least = use_case.manifest.resources.least
    return {
        "card": shown,
        "use_case": use_case,
        "manifest": use_case.manifest,
        "gates": gates(use_case, site, standing),
        "sizes": [
            SizeShown(
                n,
                s,
                fits(least, s),
                bounds.get(n, Bound()),
                why_closed(n, site, bounds, standing.groups),
                members_wanted(n, site, standing.groups),
            )
            for n, s in site.sizes.items()
        ],
        "chosen_size": asked.size or shown.size,
        "chosen_notebook": asked.notebook or "",
        "chosen_app": use_case.manifest.apps.get(asked.app or ""),
        "asked": {name: value for name, value in asdict(asked).items() if value},
        "windows": windows(use_case, site),
        "least": words(least),
        "advised": words(use_case.manifest.resources.advised),
        "free": site.backend.free(),
        "outlook": found,
    }


async def outlook(page: Page) -> dict[str, str]:
    """Return what servers of each size would find now, for the user of a page."""
    deployment, user = page.deployment, page.current_user.name
    backend, sizes = deployment.site.backend, deployment.site.sizes
    return await backend.outlook(sizes, user=user, state=deployment.state)


@dataclass(frozen=True)
class SizeShown:
    """A size as a user can choose it, or not.

    Parameters
    ----------
    name : str
        As the form sends it.
    size : Size
        What the profile declares.
    enough : bool
        Whether it is large enough for the use case.
    bound : Bound
        What the site's machine makes of it for this user.
    closed : str
        Why this user can't have it, empty where they can.
    members : str
        For members of which groups it is, empty for a user whom it is for.
    """

    name: str
    size: Size
    enough: bool
    bound: Bound
    closed: str
    members: str

    @property
    def possible(self) -> bool:
        """Whether it can be chosen."""
        return self.enough and not self.closed

    @property
    def amount(self) -> str:
        """What it grants, in words."""
        minutes = round((self.bound.walltime_h or self.size.walltime_h) * 60)
        return f"{words(self.size)}, up to {minutes_text(minutes)}"


@dataclass(frozen=True)
class DataPlace:
    """What would serve a data set now, and its cost, as the page says it."""

    symbol: str
    words: str


LOOKERS = ThreadPoolExecutor(4, thread_name_prefix="data-places")
LONGEST_LOOK_S = 5
HERE, MADE, FETCHED, NOWHERE = "✓", "⚙", "↓", "✕"
SYMBOLS = {"root": HERE, "cache": HERE, "simulated": MADE, "nowhere": NOWHERE}


async def data_places_soon(deployment: Deployment, use_case: UseCase) -> dict[str, DataPlace]:
    """Return what would serve each data set, or that this can't be told now.

    Data may lie on file systems that are slow to answer, or that answer no more. Threads of their
    own look, so that nothing else of the portal waits for them.
    """
    loop = asyncio.get_running_loop()
    looking = loop.run_in_executor(LOOKERS, data_places, deployment, use_case)
    try:
        return await asyncio.wait_for(asyncio.shield(looking), LONGEST_LOOK_S)
    except TimeoutError:
        unknown = DataPlace(NOWHERE, "Where it is can't be told now: the folder does not answer.")
        return dict.fromkeys(use_case.manifest.data_sets, unknown)


def data_places(deployment: Deployment, use_case: UseCase) -> dict[str, DataPlace]:
    """Return what would serve each data set of a use case now."""
    places = deployment.data
    cache = Cache(places.cache, deployment.state)
    found = {}
    for name, data in use_case.manifest.data_sets.items():
        if data.source_kind.installed:
            found[name] = DataPlace(HERE, f"Comes with {data.package}: nothing to fetch.")
            continue
        known = Known(use_case.name, name, use_case.folder, data)
        best = offer(known, places, cache)
        where = f"{best.where[:1].upper()}{best.where[1:]}"
        found[name] = DataPlace(SYMBOLS.get(best.kind, FETCHED), f"{where}: {best.cost}.")
    return found


def no_such_page(name: str, page: Page) -> Refused:
    """Return the refusal for a use case that isn't offered."""
    try:
        find(name, page.deployment.use_cases, page.deployment.site)
    except Refused as refusal:
        return refusal
    raise AssertionError(f"{name} is offered")


class Outlook(Page):
    """What servers of each size would find now, for a page that somebody chooses on."""

    @web.authenticated
    async def get(self) -> None:
        """Answer with a few words a size, and whether it is closed."""
        told, site = await outlook(self), self.deployment.site
        bounds = self.deployment.bounds_for(self.current_user.name)
        groups = standing_of(self.current_user, self.deployment).groups
        closed = {name for name in site.sizes if why_closed(name, site, bounds, groups)}
        self.finish({n: {"text": text, "closed": n in closed} for n, text in told.items()})


class Picture(Page):
    """The figure on a use case's card."""

    @web.authenticated
    async def get(self, name: str) -> None:
        """Answer with the picture that the manifest names."""
        use_case = self.deployment.offered.get(name)
        picture = use_case and use_case.manifest.picture
        if not use_case or not picture:
            raise web.HTTPError(404)
        kind = "svg+xml" if picture.endswith(".svg") else picture.rpartition(".")[2]
        self.set_header("Content-Type", f"image/{kind}")
        self.set_header("Cache-Control", "private, max-age=3600")
        self.finish((use_case.folder / picture).read_bytes())


class Bibtex(Page):
    """What to cite, as BibTeX."""

    @web.authenticated
    async def get(self, name: str) -> None:
        """Answer with a .bib file."""
        use_case = self.deployment.offered.get(name)
        if use_case is None:
            raise web.HTTPError(404)
        self.set_header("Content-Type", "application/x-bibtex; charset=utf-8")
        self.set_header("Content-Disposition", f'attachment; filename="{name}.bib"')
        self.finish(bibtex_of(use_case.manifest))


HANDLERS = [
    (r"/usecases", Catalogue),
    (r"/outlook", Outlook),
    (r"/usecases/([^/]+)", UseCasePage),
    (r"/usecases/([^/]+)/picture", Picture),
    (r"/usecases/([^/]+)/citations\.bib", Bibtex),
]
