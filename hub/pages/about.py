"""About this portal: site, contact, versions."""

import platform
from importlib import metadata

import jupyterhub

from ..timing import kept_text
from .base import Page


class About(Page):
    """Whom to ask, what runs here, and how well users are kept apart."""

    async def get(self) -> None:
        """Show the page; it needs no log-in, since one may need help to log in."""
        backend, objective = self.deployment.site.backend, self.deployment.site.objective
        versions = {
            "BeamHub": metadata.version("beamhub"),
            "JupyterHub": jupyterhub.__version__,
            "Python": platform.python_version(),
        }
        await self.show(
            "about.html",
            backend=backend.title,
            versions=versions,
            shared_account=backend.shares_account,
            walls_lacking=[] if backend.shares_account else backend.walls_lacking(),
            promised=kept_text(objective, self.settings["ready_times"]) if objective else "",
            use_case_count=len(self.deployment.offered),
        )


class Look(Page):
    """The site's own colour, as a style sheet: the policy allows no styles inside pages."""

    def get(self) -> None:
        """Answer with the style sheet."""
        accent = self.deployment.site.look.accent
        self.set_header("Content-Type", "text/css; charset=utf-8")
        self.set_header("Cache-Control", "public, max-age=300")
        self.finish(f":root {{ --accent: {accent}; }}\n")


HANDLERS = [(r"/about", About), (r"/look\.css", Look)]
