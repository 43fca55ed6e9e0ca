"""The proxy of a hub without rights: its helper starts it, under an account of the proxy's own."""

import asyncio
from typing import Any
from urllib.parse import unquote

from jupyterhub.objects import Server
from jupyterhub.utils import url_path_join
from tornado.ioloop import PeriodicCallback
from traitlets import Any as AnyTrait

from spawners.rights import asking

from .part_names import PROXY, PROXYS_TOKEN
from .routes import LastingRoutes

UP_S = 15


class HelpedProxy(LastingRoutes):
    """A proxy that the helper starts; JupyterHub itself starts one as its own child."""

    proxy_process = AnyTrait()

    async def start(self) -> None:
        """Start it, and wait until it takes orders."""
        # Root has ended what a killed hub left; what lies there may be anybody's number by now.
        self._remove_process_files()
        public, orders = Server.from_url(self.public_url), Server.from_url(self.api_url)
        self.log.info("Starting proxy @ %s", public.bind_url)
        self.proxy_process = await asyncio.to_thread(
            lambda: asking.begin(PROXY, (0, 1, 2), *self.arguments(public, orders), **self.told())
        )
        self._write_pid_file()
        try:
            await self.wait_up(public, orders)
        except BaseException:
            self._terminate()
            raise
        self._check_running_callback = PeriodicCallback(
            self.check_running, 1e3 * self.check_running_interval
        )
        self._check_running_callback.start()

    def arguments(self, public: Any, orders: Any) -> list[str]:
        """Return where it listens, and what it says."""
        encrypted = [("--ssl-key", self.ssl_key), ("--ssl-cert", self.ssl_cert)]
        return [
            *("--ip", public.ip, "--port", str(public.port)),
            *("--api-socket", unquote(orders.connect_addr)),
            *("--error-target", url_path_join(self.hub.url, "error")),
            *("--log-level", self.log_level),
            *(["--host-routing"] if self.app.subdomain_host else []),
            *(word for option in encrypted if option[1] for word in option),
        ]

    def told(self) -> dict[str, str]:
        """Return what stands in no argument."""
        return {PROXYS_TOKEN: self.auth_token}

    async def wait_up(self, *servers: Any) -> None:
        """Wait until it listens.

        Raises
        ------
        RuntimeError
            It has ended, or doesn't listen in time.
        """
        listening = asyncio.gather(*(server.wait_up(UP_S) for server in servers))
        while not listening.done():
            if (status := self.proxy_process.poll()) is not None:
                listening.cancel()
                raise RuntimeError(f"The proxy ended at its start, with exit status {status}")
            await asyncio.wait([listening], timeout=0.5)
        await listening
