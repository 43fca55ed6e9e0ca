"""Start a user's server in a Docker container that reaches nobody else's."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, TypeVar

from docker.errors import APIError, NotFound
from docker.types import Mount
from dockerspawner import DockerSpawner
from jupyterhub.slugs import safe_slug
from jupyterhub.spawner import SpawnException
from jupyterhub.utils import maybe_future
from traitlets import Dict, Enum, Integer, List, Unicode, default

from . import networks
from .asking import Daemon
from .docker import HOME, NAMES
from .docker_client import SILENT
from .docker_words import NO_DOCKER, ending_of, refusal_of
from .homes import HomeError, have_home
from .labels import NotOursError, Owner
from .networks import NetworkError
from .numbers import Numbers, account
from .obtaining import ObtainingError, obtain, split
from .people import FILE, People, Person, users_by_age
from .shield import ShieldError, Walls, raise_walls
from .system_accounts import AccountError
from .telling import TellingSpawner, memory_full_text

Answer = TypeVar("Answer")
REFUSED = (
    AccountError,
    HomeError,
    NetworkError,
    NotOursError,
    ObtainingError,
    ShieldError,
)
"""What ends a start, in the words of its user."""
LOG_LINES = 200
STOP_S = 10
"""How long a server has to end in order."""
WALLS = "--walls"
"""How the name of the container ends that owns a server's network."""
LOCKS: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
"""A user's network isn't removed while another server of theirs is about to join it."""


class ContainerSpawner(TellingSpawner, DockerSpawner):
    """What the stock spawner lacks: walls that stand first, images on demand, progress, reasons.

    A daemon that doesn't answer isn't the end of a server: the hub keeps it, and says so.
    """

    addresses = Unicode(help="See DockerBackend.addresses").tag(config=True)
    companions = Dict(help="See DockerBackend.companions").tag(config=True)
    unreachable = List(Unicode(), help="See DockerBackend.unreachable").tag(config=True)
    missing_image = List(Enum(["pull", "build"]), help="See DockerBackend.missing_image").tag(
        config=True
    )
    accounts = Enum(["portal", "system"], help="See DockerBackend.accounts").tag(config=True)
    first_number = Integer(help="See DockerBackend.first_number").tag(config=True)
    portal = Unicode(help="The label of all that belongs to this portal").tag(config=True)
    build_command = List(Unicode(), help="Builds an image; its name follows").tag(config=True)
    repositories = List(
        Unicode(), help="Those of the use cases' images: nothing else is ever started"
    ).tag(config=True)

    extra_host_config: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._memory_seen_until = int(time.time())
        self._slug = ""
        self._numbers: Numbers | None = None
        self.walls: Walls | None = None

    @default("format_volume_name")
    def _names_as_they_are(self) -> Callable[[str, Any], str]:
        return lambda name, _: name

    @default("object_name")
    def _object_name_default(self) -> str:
        # A slug holds no '--', nor does the name of a use case.
        return f"{self._own_name}--{self.name}" if self._slug else ""

    @property
    def _own_name(self) -> str:
        """What the user's network and volume are called, and their containers begin with."""
        return f"{self.prefix}-{self._slug}"

    @property
    def _owner(self) -> Owner:
        return Owner(self.portal, self.user.name, self._slug)

    @property
    def _networks(self) -> networks.Plan:
        return networks.Plan(IPv4Network(self.addresses), self.companions)

    @property
    def mount_binds(self) -> list[Mount]:
        """The user's own volume as home, and the site's folders."""
        home = Mount(target=HOME, source=self._own_name, type="volume")
        return [home, *super().mount_binds]

    @property
    def _daemon(self) -> Daemon:
        return Daemon(self.user.name, lambda: self.client)

    async def docker(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of Docker's client, as the stock spawner wants it."""
        return await self._daemon.make(lambda client: getattr(client, method)(*args, **kwargs))

    def get_env(self) -> dict[str, str]:
        """Add who the user is inside: the image knows neither the number nor the name."""
        name = self._numbers.name if self._numbers else ""
        return {**super().get_env(), "HOME": HOME, "USER": name, "LOGNAME": name}

    async def start(self) -> tuple[str, int]:
        """Start the server; what it waits for is told on the pending page."""
        self.begin_telling()
        try:
            await self._have_image()
            self.report(85, "Making a container")
            ip, port = await self._make()
            self.report(90, "Starting JupyterLab")
            await self._wait_for_answer(ip, port)
        except REFUSED as error:
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
            await self._daemon.look(lambda client: client.inspect_image(self.image))
        except NotFound:
            command = [*self.build_command, self.name]
            await obtain(self.client, self.image, self.missing_image, command, self.report)

    async def _make(self) -> tuple[str, int]:
        """Make network, home and walls, and only then the container; return where it listens."""
        numbers = self._numbers = await self._have_account()
        name = self.network_name = self._own_name
        self.object_name = self._object_name_default()
        owner = self._owner
        async with LOCKS[name]:
            await self._daemon.make(
                lambda client: networks.ensure(client, name, self._networks, owner)
            )
            await have_home(self._daemon, name, self.image, owner, numbers, self._people)
            await self._remove_former()
            walls = self.walls = await raise_walls(
                self._daemon,
                self.image,
                self.object_name + WALLS,
                name,
                hub_ip=self._hub_ip,
                unreachable=self.unreachable,
                labels=owner.labels,
            )
            self._put_inside(walls, numbers)
            made = await self.create_object()
            self.object_id = made["Id"]
            await self.start_object()
        return walls.address, self.port

    async def _have_account(self) -> Numbers:
        """Return the account of the user's servers; name and number are theirs alone."""
        earlier = users_by_age(self.db)

        def find(_: Any) -> tuple[Person, Numbers]:
            return account(self._people, self.user.name, earlier, self.accounts, self.first_number)

        person, numbers = await self._daemon.make(find)
        self._slug = person.slug
        return numbers

    @property
    def _people(self) -> People:
        return People(Path(self.state_folder) / FILE)

    async def _remove_former(self) -> None:
        """Remove what is left of the server's last life, if it's ours."""
        for name in (self.object_name, self.object_name + WALLS):
            try:
                found = await self._daemon.inspect(name)
            except NotFound:
                continue
            self._owner.require("container", name, found["Config"]["Labels"])
            self.log.warning("Removing %s that should have been cleaned up", name)
            await self._daemon.remove(found["Id"])

    def _put_inside(self, walls: Walls, numbers: Numbers) -> None:
        """Set in which network and under which account the container runs."""
        self.extra_create_kwargs = {
            "labels": self._owner.labels,
            "user": str(numbers),
            # Docker refuses ports of a container that has another's network.
            "ports": None,
        }
        given: dict[str, Any] = self.extra_host_config
        own_names = f"mode=0755,size=64k,uid={numbers.uid},gid={numbers.gid}"
        self.extra_host_config = {
            **given,
            "network_mode": f"container:{walls.id}",
            "group_add": list(map(str, numbers.groups)),
            "tmpfs": {**given["tmpfs"], NAMES: own_names},
        }

    @property
    def _hub_ip(self) -> str:
        """The hub's address, empty where it's a companion in the servers' own networks."""
        return "" if self.companions else networks.hub_address(IPv4Network(self.addresses))

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
            found = await self._daemon.inspect(self.object_id)
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
            if state.get("Running") and not await self._walls_stand():
                self.tell_ending("Its network was taken away from outside of the portal.")
                return "its walls are gone"
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

    async def _walls_stand(self) -> bool:
        """Return whether the container that owns the server's network is as it was."""
        if not self.walls:
            return True  # of a portal's earlier version, without such a container
        try:
            state = (await self._daemon.inspect(self.walls.id))["State"]
        except NotFound:
            return False
        return bool(state["Running"] and state["StartedAt"] == self.walls.began)

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
            await self._daemon.look(
                lambda client: networks.join(client, self._own_name, self.companions)
            )
        except NetworkError as error:
            self.log.warning("%s", error)

    async def _watch_memory(self) -> None:
        """Tell if something in the container was ended because its memory was full."""
        since, now = self._memory_seen_until, int(time.time())
        chosen = {"container": self.object_id, "event": "oom"}
        events = await self._daemon.look(
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
        """Keep what the server was given too, and what stands around it."""
        state = {**super().get_state(), "memory_bytes": self.mem_limit}
        if self.walls:
            state["walls"] = asdict(self.walls)
        return {**state, "slug": self._slug} if self._slug else state

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the server after a restart of the hub."""
        super().load_state(state)
        self.mem_limit = state.get("memory_bytes")
        self.walls = Walls(**state["walls"]) if "walls" in state else None
        # Servers of earlier versions are called so.
        self._slug = state.get("slug") or (safe_slug(self.user.name) if self.object_id else "")

    def clear_state(self) -> None:
        """Forget a server that has ended."""
        super().clear_state()
        self.object_id = ""
        self.walls = None

    async def _kept_output(self) -> str:
        """Return what the server said last, kept for those who look for the reason of its end."""
        try:
            output = await self._daemon.look(
                lambda client: client.logs(self.object_id, tail=LOG_LINES)
            )
        except APIError:
            return ""
        self.keep_log(output)
        return str(output, "utf-8", "replace")

    async def stop(self, now: bool = False) -> None:
        """End the container and remove it. What stands around it is taken away after its way."""
        try:
            await self._end(self.object_id, 0 if now else STOP_S)
        except SILENT:
            self.ending = (
                "Docker did not answer when this server was stopped. What is left of it ends as "
                "soon as Docker answers again."
            )

    async def _end(self, container: str, patience_s: float) -> None:
        """Tell a server to end, and end it."""
        try:
            await self._daemon.end(lambda client: client.kill(container, "SIGTERM"))
            await self._daemon.until(lambda client: not runs(client, container), patience_s)
        except TimeoutError:
            self.log.info("%s did not end in time", self._log_name)
        except APIError as error:
            if error.status_code not in (404, 409):
                raise
        await self._daemon.remove(container)
        self.object_id = ""

    async def run_post_stop_hook(self) -> Any:
        """Close the way to the server; only then give away its address, and all that it leaves."""
        closed = False
        try:
            answer = await maybe_future(super().run_post_stop_hook())
            closed = True
        finally:
            try:
                await self._clean_up(with_address=closed)
            except SILENT as error:
                self.log.warning("Something of %s is left: %s", self._log_name, error)
        return answer

    async def _clean_up(self, *, with_address: bool) -> None:
        if self.object_id:
            await self._daemon.remove(self.object_id)
            self.object_id = ""
        if not with_address or not self._slug:
            return
        async with LOCKS[self._own_name]:
            if self.walls:
                await self._daemon.remove(self.walls.id)
                self.walls = None
            name, owner, companions = self._own_name, self._owner, self.companions.values()
            await self._daemon.end(
                lambda client: networks.remove_unused(client, name, companions, owner)
            )


def runs(client: Any, container: str) -> bool:
    """Return whether a container runs."""
    return bool(client.inspect_container(container)["State"]["Running"])
