"""The ways through the proxy to servers."""

from typing import Any

from jupyterhub.proxy import ConfigurableHTTPProxy


class LastingRoutes(ConfigurableHTTPProxy):
    """A proxy that leads to a server until it has ended, whoever stops it.

    JupyterHub closes the way first; then JupyterLab could not save what is open.
    """

    ended = False

    @property
    def process_number(self) -> int | None:
        """The number of the proxy's process, None where it runs apart."""
        return getattr(self.proxy_process, "pid", None)

    async def delete_user(self, user: Any, server_name: str = "") -> None:
        """Leave the way of a server that is about to be stopped: `close_way` takes it away."""

    async def forget(self, spawner: Any) -> None:
        """Take away the way to a server that has ended; a proxy that was ended has none left."""
        if not self.ended:
            await super().delete_user(spawner.user, spawner.name)

    def stop(self) -> None:
        """End the proxy, which takes no more orders then."""
        self.ended = True
        super().stop()


async def close_way(spawner: Any) -> None:
    """Take away the way to a spawner's server; called once it has ended."""
    await spawner.user.settings["proxy"].forget(spawner)
