"""What one running portal is: a site, its use cases, and where it keeps its state."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spawners import Bound, Launch
from workbench.data.settings import Settings
from workbench.documents import DocumentError

from .images.record import read_record
from .licences import Licences
from .names import Names
from .plan import Asked, plan
from .requester import Requester
from .site import PROFILES, SiteProfile, load_site, profile_path
from .usecases import NOTEBOOKS, UseCase, load_use_cases


@dataclass(frozen=True)
class Deployment:
    """One portal.

    Parameters
    ----------
    name : str
        The site profile's name.
    site : SiteProfile
        Its contents.
    use_cases : dict of str to UseCase
        Every use case known here.
    state : Path
        The folder of database, homes, environments and logs.
    options : tuple of str
        What names this portal to a command that takes ``--site``.
    """

    name: str
    site: SiteProfile
    use_cases: dict[str, UseCase]
    state: Path
    options: tuple[str, ...] = ()

    @property
    def digests(self) -> dict[str, str]:
        """What is known of images that a registry has, by reference."""
        made = read_record(self.state).items()
        noted = {reference: m.digest for reference, m in made if m.digest}
        return {**noted, **self.site.digests}

    def plan_for(self, requester: Requester, name: str, asked: Asked) -> Launch:
        """Return the launch of a use case for somebody, here and now.

        Cards, forms, links and starts all ask here, so that they have one answer.

        Parameters
        ----------
        requester : Requester
            For whom.
        name : str
            The use case. Untrusted.
        asked : Asked
            Size, and notebook or program. Untrusted.

        Raises
        ------
        Refused
            It can't be started, or not for them; see `hub.plan.plan`.
        """
        return plan(
            name,
            asked,
            use_cases=self.use_cases,
            site=self.site,
            user=requester.name,
            holding=requester.holding(besides=name),
            standing=requester.standing,
            digests=self.digests,
            bounds=self.bounds_for(requester.name),
        )

    def bounds_for(self, user: str) -> Mapping[str, Bound]:
        """Return what the site's machine makes of sizes for a user, by their names."""
        return self.site.backend.bounds(self.site.sizes, user)

    @property
    def licences(self) -> Licences:
        """The record of whose terms users have accepted."""
        return Licences(self.state / "licences.sqlite")

    @property
    def names(self) -> Names:
        """The record of which person of a provider has which name."""
        return Names(self.state / "names.sqlite")

    @property
    def data(self) -> Settings:
        """Where the servers of this portal look for reference data."""
        declared = self.site.data
        return Settings(
            cache=declared.cache
            or self.site.backend.data_folder(self.state)
            or Path("/nonexistent"),
            roots=tuple(declared.roots),
            mirrors=tuple(map(str, declared.mirrors)),
        )

    @property
    def offered(self) -> dict[str, UseCase]:
        """The use cases that the site offers."""
        return {n: u for n, u in self.use_cases.items() if self.site.offers(n)}


def load_deployment(
    site: str, *, state: Path | None = None, extra_use_cases: list[Path] | None = None
) -> Deployment:
    """Return the portal of a site profile.

    Parameters
    ----------
    site : str
        The name of a shipped profile or the path of one.
    state : Path, optional
        Where it keeps its state; None means the usual folder of this account.
    extra_use_cases : list of Path, optional
        Folders with use cases of the facility's own, beside the shipped ones.

    Raises
    ------
    DocumentError
        The profile or a manifest is wrong, or the site offers a use case that doesn't exist.
    """
    profile = load_site(site)
    own = [folder.resolve() for folder in extra_use_cases or []]
    use_cases = load_use_cases([NOTEBOOKS, *own])
    unknown = sorted(set(profile.use_cases or []) - set(use_cases))
    if unknown:
        raise DocumentError(
            f"{profile_path(site)}:1: use_cases: there is no use case '{unknown[0]}'; "
            f"there are {', '.join(use_cases)}"
        )
    if unknown := sorted(set(profile.use_case_groups) - set(use_cases)):
        raise DocumentError(
            f"{profile_path(site)}:1: use_case_groups: there is no use case '{unknown[0]}'; "
            f"there are {', '.join(use_cases)}"
        )
    gated = sorted({g.name for u in use_cases.values() for g in u.manifest.licence_gates})
    if unknown := sorted(set(profile.programs) - set(gated)):
        raise DocumentError(
            f"{profile_path(site)}:1: programs: no use case has a licence gate '{unknown[0]}'; "
            f"there are {', '.join(gated)}"
        )
    path = profile_path(site)
    folder = (state or usual_state()).resolve()
    options = (f"--site={site if path.parent == PROFILES else path.resolve()}", f"--state={folder}")
    beside = (f"--use-cases={folder}" for folder in own)
    return Deployment(path.stem, profile, use_cases, folder, (*options, *beside))


def usual_state() -> Path:
    """Return where a portal of this account keeps its state."""
    if os.geteuid() == 0:
        return Path("/var/lib/beamhub")
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(base) / "beamhub"
