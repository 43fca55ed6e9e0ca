"""Licence gates: which restricted programs a user may have at a site, and what opens the others.

Pure: what a user has accepted, and in which groups they are, arrives as an argument.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from spawners import Mount
from workbench.manifest import LicenceGate

from .site import LicensedProgram, SiteProfile
from .usecases import UseCase

State = Literal["vouched", "accepted", "closed", "members", "absent"]


@dataclass(frozen=True)
class Standing:
    """What opens gates for a user.

    Parameters
    ----------
    accepted : mapping
        When the user accepted which texts, in UTC: program, then version of the text.
    groups : frozenset of str
        The groups that the user is in.
    """

    accepted: Mapping[str, Mapping[str, datetime]] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()


NOBODY = Standing()
"""Somebody who has accepted nothing and for whom nobody vouches."""


@dataclass(frozen=True)
class Gate:
    """A licence gate as it is for one user at one site.

    Parameters
    ----------
    terms : LicenceGate
        What the manifest says.
    program : LicensedProgram or None
        What the site says, None where it doesn't have the program.
    vouching : tuple of str
        The user's groups whom the site vouches for.
    since : datetime or None
        When the user accepted the present text, in UTC.
    outdated : bool
        Whether the user has accepted another text only.
    """

    terms: LicenceGate
    program: LicensedProgram | None
    vouching: tuple[str, ...] = ()
    since: datetime | None = None
    outdated: bool = False

    @property
    def state(self) -> State:
        """Whether it is open, and what opens it otherwise."""
        if self.program is None:
            return "absent"
        if self.vouching:
            return "vouched"
        if not self.program.by_declaration:
            return "members"
        return "accepted" if self.since else "closed"

    @property
    def is_open(self) -> bool:
        """Whether the user may have the program."""
        return self.state in ("vouched", "accepted")

    @property
    def mount(self) -> Mount:
        """The program's folder, as servers in containers see it."""
        assert self.program is not None
        source = self.program.source
        return Mount(source=source, target=self.program.target or source)


def gates(use_case: UseCase, site: SiteProfile, standing: Standing) -> list[Gate]:
    """Return the gates of a use case, in the manifest's order."""
    return [gate(terms, site, standing) for terms in use_case.manifest.licence_gates]


def gate(terms: LicenceGate, site: SiteProfile, standing: Standing) -> Gate:
    """Return one gate as it is for a user at a site."""
    program = site.programs.get(terms.name)
    texts = standing.accepted.get(terms.name, {})
    groups = program.vouched_groups if program else []
    return Gate(
        terms=terms,
        program=program,
        vouching=tuple(g for g in groups if g in standing.groups),
        since=texts.get(terms.version),
        outdated=bool(texts) and terms.version not in texts,
    )
