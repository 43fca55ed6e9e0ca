"""The software catalogue as a page."""

from tornado import web

from ..software import load_software
from .base import Page


class Software(Page):
    """Programs of the facilities, with house, licence, features and link."""

    @web.authenticated
    async def get(self) -> None:
        """Show the catalogue."""
        await self.show("software.html", programs=load_software(), offered=self.deployment.offered)


HANDLERS = [(r"/software", Software)]
