"""Refusals: what was asked can't be had, said to the person who asked."""

from .site import SiteProfile


class Refused(Exception):  # noqa: N818
    """What was asked can't be had; the text is for the user.

    Parameters
    ----------
    message : str
        What was asked, what is possible, whom to ask.
    reason : str
        One word for the metrics.
    status : int
        The HTTP status that fits.
    page : str
        The address at which the user can do something about it, empty where there is none.
    """

    def __init__(self, message: str, *, reason: str, status: int = 400, page: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.status = status
        self.page = page

    @property
    def in_full(self) -> str:
        """The message with the address, for those who see no page with a link."""
        return f"{self.message} See {self.page}" if self.page else self.message


def quoted(text: str) -> str:
    """Return what a user sent so that it can stand in a sentence: short, on one line."""
    line = "".join(c if c.isprintable() else " " for c in text[:41])
    return f"'{line[:40]}…'" if len(line) > 40 else f"'{line}'"


def ask_whom(site: SiteProfile) -> str:
    """Return the sentence that names the site's contact."""
    return f"Questions go to {site.contact}."


def members_of(groups: list[str]) -> str:
    """Return groups as a sentence names them: of a name in full, its first part."""
    short = [g.partition(",")[0].partition("=")[2] if "=" in g else g for g in groups]
    return " or ".join(short)
