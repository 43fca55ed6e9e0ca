"""Start a user's server in a Docker container that reaches nobody else's."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import Any, TypeVar, cast

from docker.errors import APIError, NotFound
from docker.types import Mount
from dockerspawner import DockerSpawner
from jupyterhub.slugs import safe_slug
from jupyterhub.spawner import SpawnException
from jupyterhub.utils import maybe_future
from traitlets import Dict, Enum, List, Unicode, default

from . import networks
from .docker import HOME
from .docker_client import SILENT
from .docker_words import NO_DOCKER, ending_of, refusal_of
from .networks import PORTAL_LABEL, NetworkError
from .obtaining import ObtainingError, obtain, split
from .shield import ShieldError, close_ways
from .telling import TellingSpawner, memory_full_text

Answer = TypeVar("Answer")
LOG_LINES = 200
ASKING = ThreadPoolExecutor(8, thread_name_prefix="docker")
LOCKS: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
"""A user's network isn't removed while another server of theirs is about to join it."""


class ContainerSpawner(TellingSpawner, DockerSpawner):
    """What the stock spawner lacks: a network a user, images on demand, progress, reasons.

    A daemon that doesn't answer is no end of a server: the hub keeps it, and says so.
    """

    addresses = Unicode(help="See DockerBackend.addresses").tag(config=True)
    companions = Dict(help="See DockerBackend.companions").tag(config=True)
    unreachable = List(Unicode(), help="See DockerBackend.unreachable").tag(config=True)
    missing_image = List(Enum(["pull", "build"]), help="See DockerBackend.missing_image").tag(
        config=True
    )
    portal = Unicode(help="The label of all that belongs to this portal").tag(config=True)
    build_command = List(Unicode(), help="Builds an image; its name follows").tag(config=True)
    repositories = List(
        Unicode(), help="Those of the use cases' images: nothing else is ever started"
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._memory_seen_until = int(time.time())

    @default("format_volume_name")
    def _names_as_they_are(self) -> Callable[[str, Any], str]:
        return lambda name, _: name

    @default("object_name")
    def _object_name_default(self) -> str:
        # A slug holds no '--', nor does the name of a use case.
        return f"{self._own_name}--{self.name}"

    @property
    def _own_name(self) -> str:
        """What the user's network and volume are called, and their containers begin with."""
        return f"{self.prefix}-{safe_slug(self.user.name)}"

    @property
    def _networks(self) -> networks.Plan:
        return networks.Plan(IPv4Network(self.addresses), self.portal, self.companions)

    @property
    def mount_binds(self) -> list[Mount]:
        """The user's own volume as home, and the site's folders."""
        home = Mount(target=HOME, source=self._own_name, type="volume")
        return [home, *super().mount_binds]

    @property
    def executor(self) -> ThreadPoolExecutor:
        """What asks Docker: several threads, since a container may take ten seconds to stop."""
        return ASKING

    async def ask(self, call: Callable[[Any], Answer]) -> Answer:
        """Let Docker's client do something without blocking the hub."""
        return await asyncio.wrap_future(self.executor.submit(lambda: call(self.client)))

    async def start(self) -> tuple[str, int]:
        """Start the server; what it waits for is told on the pending page."""
        self.begin_telling()
        try:
            await self._have_image()
            self.report(85, "Making a container")
            ip, port = await self._make()
            self.report(90, "Starting JupyterLab")
            await self._wait_for_answer(ip, port)
        except (ObtainingError, NetworkError, ShieldError) as error:
            self.keep_log(getattr(error, "log", "").encode())
            raise SpawnException(str(error), reason="docker", status_code=503) from None
        except APIError as error:
            self.log.error("Docker refused %s: %s", self._log_name, error)
            text = refusal_of(str(error.explanation or error))
            raise SpawnException(text, reason="docker", status_code=503) from None
        except SILENT as error:
            self.log.error("Docker doesn't answer: %s", error)
            raise SpawnException(NO_DOCKER, reason="docker", status_code=503) from None
        return ip, port

    async def _have_image(self) -> None:
        """Make sure that the image is here, and one of a use case."""
        if split(self.image)[0] not in self.repositories:
            raise ObtainingError(f"The image {self.image} belongs to no use case of this portal.")
        try:
            await self.ask(lambda client: client.inspect_image(self.image))
        except NotFound:
            command = [*self.build_command, self.name]
            await obtain(self.client, self.image, self.missing_image, command, self.report)

    async def _make(self) -> tuple[str, int]:
        """Make network, volume and container, start it, and close ways that it must not take."""
        name = self.network_name = self._own_name
        labels = {PORTAL_LABEL: self.portal, "org.beamhub.user": safe_slug(self.user.name)}
        self.extra_create_kwargs = {"labels": labels}
        async with LOCKS[name]:
            await self.ask(lambda client: networks.ensure(client, name, self._networks))
            await self.ask(lambda client: client.create_volume(name, labels=labels))
            ip, port = cast(tuple[str, int], await super().start())
            await self.ask(
                lambda client: close_ways(client, self.object_id, self.unreachable, self._hub_ip)
            )
        return ip, port

    @property
    def _hub_ip(self) -> str:
        """The hub's address, empty where it's a companion in the servers' own networks."""
        return "" if self.companions else networks.hub_address(IPv4Network(self.addresses))

    async def get_object(self) -> dict[str, Any] | None:
        """Return the container of this server's name, if there is one and it's ours."""
        found = cast(dict[str, Any] | None, await super().get_object())
        if found and found["Config"]["Labels"].get(PORTAL_LABEL) != self.portal:
            self.object_id = ""
            raise NetworkError(
                f"Another portal has a container '{self.object_name}' here. An administrator must "
                "give one of the two another backend.prefix."
            )
        return found

    async def _wait_for_answer(self, ip: str, port: int) -> None:
        """Wait until the server listens; one that ends by itself is noticed at once."""
        while True:
            state = await self._state()
            if not state.get("Running"):
                why = ending_of(state, self._memory_text, await self._kept_output())
                raise SpawnException(why, reason="ended", status_code=500)
            try:
                async with asyncio.timeout(2):
                    _, writer = await asyncio.open_connection(ip, port)
            except OSError:
                await asyncio.sleep(0.2)
            else:
                writer.close()
                return

    async def _state(self) -> dict[str, Any]:
        """Return Docker's own state of the container, empty where it's gone."""
        if not self.object_id:
            return {}
        try:
            found = await self.ask(lambda client: client.inspect_container(self.object_id))
        except NotFound:
            return {}
        state: dict[str, Any] = found["State"]
        return state

    async def poll(self) -> str | int | None:
        """Return None while the container runs, as far as is known; else how it ended."""
        if not self.object_id:
            return 0
        try:
            state = await self._state()
            if state.get("Running"):
                await self._rejoin_companions()
                await self._watch_memory()
                self.silence = ""
                return None
            output = await self._kept_output()
            why = ending_of(state, self._memory_text, output, silent=bool(self.silence))
            self.tell_ending(why)
        except SILENT as error:
            self._note_silence(error)
            return None
        self.log.warning("%s has ended: %s", self._log_name, state)
        return f"exit status {state.get('ExitCode', 'unknown')}"

    def _note_silence(self, error: Exception) -> None:
        """Tell that nothing is known of the server, since when."""
        if not self.silence:
            self.log.warning("Docker doesn't answer, %s is kept: %s", self._log_name, error)
            self.silence = (
                f"Docker, which runs it, has not answered since {datetime.now(UTC):%H:%M} UTC. The "
                "server may go on all the same, but the portal can't see it."
            )

    async def _rejoin_companions(self) -> None:
        """Join companions again that were made anew, as an update of hub or proxy does."""
        if not self.companions:
            return
        try:
            await self.ask(lambda client: networks.join(client, self._own_name, self.companions))
        except NetworkError as error:
            self.log.warning("%s", error)

    async def _watch_memory(self) -> None:
        """Tell if something in the container was ended because its memory was full."""
        since, now = self._memory_seen_until, int(time.time())
        chosen = {"container": self.object_id, "event": "oom"}
        events = await self.ask(
            lambda client: list(client.events(since=since, until=now, filters=chosen, decode=True))
        )
        self._memory_seen_until = now
        if events:
            at = datetime.fromtimestamp(events[-1]["time"], UTC)
            self.notice = memory_full_text(at, (self.mem_limit or 0) / 2**30)

    @property
    def _memory_text(self) -> str:
        return f"{(self.mem_limit or 0) / 2**30:g} GiB"

    def get_state(self) -> dict[str, Any]:
        """Keep what the server was given too, which is told when it runs out."""
        return {**super().get_state(), "memory_bytes": self.mem_limit}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the server after a restart of the hub."""
        super().load_state(state)
        self.mem_limit = state.get("memory_bytes")

    async def _kept_output(self) -> str:
        """Return what the server said last, kept for those who look for the reason of its end."""
        try:
            output = await self.ask(lambda client: client.logs(self.object_id, tail=LOG_LINES))
        except APIError:
            return ""
        self.keep_log(output)
        return str(output, "utf-8", "replace")

    async def stop(self, now: bool = False) -> None:
        """Stop the container and remove it."""
        try:
            await super().stop(now)
        except SILENT:
            self.ending = (
                "Docker did not answer when this server was stopped. What is left of it ends as "
                "soon as Docker answers again."
            )

    async def run_post_stop_hook(self) -> Any:
        """Remove what the server leaves, however it came to its end."""
        try:
            await self._clean_up()
        except SILENT as error:
            self.log.warning("Something of %s is left: %s", self._log_name, error)
        return await maybe_future(super().run_post_stop_hook())

    async def _clean_up(self) -> None:
        if self.object_id:
            await self.remove_object()
            self.object_id = ""
        async with LOCKS[self._own_name]:
            await self.ask(
                lambda client: networks.remove_unused(
                    client, self._own_name, self.companions.values()
                )
            )
