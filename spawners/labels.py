"""What marks a container, network or volume as one user's of one portal."""

from collections.abc import Mapping
from dataclasses import dataclass

PORTAL_LABEL = "org.beamhub.portal"
USER_LABEL = "org.beamhub.user"
MADE_LABEL = "org.beamhub.made"
"""On a volume: what tells it from another of the same name, made before or after it."""


class NotOursError(Exception):
    """Something has the name that ours would have; the text is for the user."""


@dataclass(frozen=True)
class Owner:
    """Whose something is.

    Parameters
    ----------
    portal : str
        What tells this portal's from another's.
    user : str
        The user's name at the portal.
    slug : str
        What the user's things are called, see `spawners.people.Person`.
    """

    portal: str
    user: str
    slug: str

    @property
    def labels(self) -> dict[str, str]:
        """What is written on the user's things."""
        return {PORTAL_LABEL: self.portal, USER_LABEL: self.user}

    def has(self, labels: Mapping[str, str] | None) -> bool:
        """Return whether something with these labels is this user's."""
        found = labels or {}
        # Labels of earlier versions name the user by the slug, or not at all.
        named = found.get(USER_LABEL, self.slug)
        return found.get(PORTAL_LABEL) == self.portal and named in (self.user, self.slug)

    def require(self, kind: str, name: str, labels: Mapping[str, str] | None) -> None:
        """Make sure that something is this user's.

        Parameters
        ----------
        kind : str
            'container', 'network' or 'volume'.
        name : str
            What it is called.
        labels : mapping or None
            What Docker tells of it.

        Raises
        ------
        NotOursError
            It's another portal's, another user's, or nobody's.
        """
        if self.has(labels):
            return
        found = labels or {}
        whose = "another user" if found.get(PORTAL_LABEL) == self.portal else "another portal"
        whose = whose if PORTAL_LABEL in found else "somebody else"
        raise NotOursError(
            f"Docker has a {kind} '{name}' here that belongs to {whose}, so it is not used for "
            f"you. An administrator can look at it (docker {kind} inspect {name}), and rename or "
            "remove it, or give the portal another backend.prefix."
        )
