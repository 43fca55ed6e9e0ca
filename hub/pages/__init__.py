"""The portal's pages: one module a noun."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tornado.web import StaticFileHandler

from ..deployment import Deployment
from . import (
    about,
    all_servers,
    board,
    checks,
    gone,
    jobs,
    join,
    launch,
    licences,
    lifetime,
    login,
    reproduce,
    servers,
    software,
    taking_part,
    tokens,
    usecases,
    workshops,
)
from .announcements import Announcements
from .base import Page, WithoutSlash
from .words import NAMES

MODULES = (
    usecases,
    licences,
    launch,
    reproduce,
    servers,
    all_servers,
    lifetime,
    jobs,
    gone,
    join,
    taking_part,
    workshops,
    board,
    checks,
    software,
    tokens,
    about,
    login,
)
STATIC = Path(__file__).parents[1] / "static"


def handlers() -> Iterator[tuple[Any, ...]]:
    """Yield every page's pattern and handler."""
    for module in MODULES:
        for pattern, handler in module.HANDLERS:
            yield pattern, handler
            if issubclass(handler, Page):
                yield f"{pattern}/", WithoutSlash
    yield r"/beamhub/(.*)", StaticFileHandler, {"path": str(STATIC)}


def template_names(deployment: Deployment) -> dict[str, Any]:
    """Return what every template may use."""
    return {
        **NAMES,
        "site": deployment.site,
        "announcements": Announcements(deployment.site.announcements),
        "asset_version": max(int(p.stat().st_mtime) for p in STATIC.rglob("*")),
    }
