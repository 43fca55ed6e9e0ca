"""Start a user's server in a pod of a Kubernetes cluster."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyterhub.slugs import safe_slug
from jupyterhub.spawner import SpawnException
from jupyterhub.utils import maybe_future
from kubernetes_asyncio.client import ApiException, V1DeleteOptions, V1Preconditions
from kubespawner import KubeSpawner
from traitlets import Enum, Integer, Unicode

from ..amounts import minutes_text
from ..labels import PORTAL_LABEL, USER_LABEL, Owner
from ..numbers import Numbers, account
from ..people import FILE, People, users_by_age
from ..system_accounts import AccountError
from ..telling import JUPYTERLAB_FROM, TellingSpawner
from .client import AWAY, ask, found, message_of
from .settings import STOP_S
from .storage import HOME, HOME_VOLUME, home_claim
from .watching import Events, Object, Pods, watches
from .words import NO_CLUSTER, Step, ending_of, is_over, refusal_of, step_of

LOG_LINES = 200
LOOK_EVERY_S = 0.5
LIMIT_BEFORE_S = 10
"""So long before the hub would give up a start without a word, it ends with one."""
AT_ONCE_S = 1
"""With 0 a pod would be forgotten before its node has ended it."""
GONE_WITHIN_S = 30
"""How long a node may take to remove what was told to end."""
SERVER_SLUG = 20
TRIES = 3
CONFLICT = 409


class NotOursError(Exception):
    """Something has the name that ours would have; the text is for the user."""


class PodSpawner(TellingSpawner, KubeSpawner):
    """What the stock spawner lacks: a home and an account a user, progress, early ends, reasons.

    A cluster that doesn't answer isn't the end of a server: the hub keeps it, and says so.
    """

    prefix = Unicode(help="See KubernetesBackend.prefix").tag(config=True)
    accounts = Enum(["portal", "system"], help="See KubernetesBackend.accounts").tag(config=True)
    first_number = Integer(help="See KubernetesBackend.first_number").tag(config=True)
    portal = Unicode(help="The label of all that belongs to this portal").tag(config=True)

    extra_annotations: Any
    extra_labels: Any
    supplemental_gids: Any
    volumes: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pod_name = ""
        self._pod_uid = ""
        self._slug = ""
        self._numbers: Numbers | None = None

    # Names.

    @property
    def _owner(self) -> Owner:
        return Owner(self.portal, self.user.name, self._slug)

    @property
    def _home_name(self) -> str:
        """What the user's home is called."""
        return f"{self.prefix}-{self._slug}"

    @property
    def _watches(self) -> tuple[Pods, Events]:
        return watches(self.api, self.namespace, f"{PORTAL_LABEL}={self.portal}")

    @property
    def _memory_text(self) -> str:
        return f"{(self.mem_limit or 0) / 2**30:g} GiB"

    def _expand_all(self, src: Any) -> Any:
        """Return what a launch says as it is: nothing of it is a template."""
        return src

    # Starting.

    async def start(self) -> str:
        """Start the server; what it waits for is told on the pending page."""
        self.begin_telling()
        limit = asyncio.timeout(max(1, self.start_timeout - LIMIT_BEFORE_S))
        try:
            async with limit:
                return await self._start_pod()
        except (AccountError, NotOursError, *AWAY) as error:
            why = self._too_late() if limit.expired() else self._failure(error)
            raise SpawnException(why, reason="kubernetes", status_code=503) from None
        finally:
            self._watches[1].forget(self.pod_name)

    def _too_late(self) -> str:
        """Return that the start took too long, and what it waited for."""
        if self._watches[0].silent_since:
            return NO_CLUSTER
        waited = self.step.get("message", "Waiting for the cluster")
        return (
            f"It could not begin within {minutes_text(round(self.start_timeout / 60))}. It got as "
            f"far as: {waited}. Choose a smaller size, or try again later."
        )

    def _failure(self, error: Exception) -> str:
        """Return in words what ended a start."""
        if isinstance(error, AccountError | NotOursError):
            return str(error)
        if not isinstance(error, ApiException):
            self.log.error("Kubernetes doesn't answer: %r", error)
            return NO_CLUSTER
        said = message_of(error)
        self.log.error("Kubernetes refused %s: %s %s", self._log_name, error.status, said)
        return refusal_of(error.status or 0, said)

    async def _start_pod(self) -> str:
        """Make home and pod, and return where the server listens."""
        pods, events = self._watches
        await asyncio.gather(pods.ready(), events.ready())
        await self._have_account()
        self.report(5, "Having your home ready")
        await self._have_home()
        self.report(10, "Asking the cluster for a place")
        events.want(self.pod_name)
        await self._make_pod()
        return await self._until_it_listens(pods, events)

    async def _have_account(self) -> None:
        """Set under which account the pod runs; name and number are its user's alone."""
        earlier = users_by_age(self.db)
        people = People(Path(self.state_folder) / FILE)
        person, numbers = await asyncio.to_thread(
            account, people, self.user.name, earlier, self.accounts, self.first_number
        )
        self._slug = person.slug
        self.put_inside(numbers)

    def put_inside(self, numbers: Numbers) -> None:
        """Set what only this user's pods have: account, home, names."""
        self._numbers = numbers
        self.pod_name = f"{self._home_name}--{safe_slug(self.name, max_length=SERVER_SLUG)}"
        self.uid, self.gid, self.fs_gid = numbers.uid, numbers.gid, numbers.gid
        self.supplemental_gids = [*self.supplemental_gids, *numbers.groups]
        claim = {"claimName": self._home_name}
        home = {"name": HOME_VOLUME, "persistentVolumeClaim": claim}
        self.volumes = [home, *self.volumes]
        mine = {PORTAL_LABEL: self.portal, "org.beamhub.home": self._slug}
        self.extra_labels = {**self.extra_labels, **mine}
        self.extra_annotations = {**self.extra_annotations, USER_LABEL: self.user.name}
        if self.storage_access_modes == ["ReadWriteOnce"]:
            # Such a home is on one node at a time, and so are all servers that have it.
            together = {"matchLabels": mine}
            self.pod_affinity_required = [
                {"labelSelector": together, "topologyKey": "kubernetes.io/hostname"}
            ]

    def get_env(self) -> dict[str, str]:
        """Add who the user is inside: the image knows neither the number nor the name."""
        name = self._numbers.name if self._numbers else ""
        told = {**super().get_env(), "HOME": HOME, "USER": name, "LOGNAME": name}
        # A node takes $(NAME) for a reference.
        return {key: str(value).replace("$", "$$") for key, value in told.items()}

    async def _have_home(self) -> None:
        """Make the user's home where it isn't there; it's never deleted by the portal."""
        read = self.api.read_namespaced_persistent_volume_claim
        home: Any = await found(read, self._home_name, self.namespace)
        if home is None:
            body = home_claim(
                self._home_name,
                storage_class=self.storage_class,
                capacity=self.storage_capacity,
                access=self.storage_access_modes[0],
                labels={PORTAL_LABEL: self.portal},
                annotations={USER_LABEL: self.user.name},
            )
            try:
                make = self.api.create_namespaced_persistent_volume_claim
                home = await ask(make, self.namespace, body)
            except ApiException as error:
                if error.status != CONFLICT:
                    raise
                home = await ask(read, self._home_name, self.namespace)
        self._require("volume claim", home.metadata)
        if home.metadata.deletion_timestamp:
            raise NotOursError(
                "An administrator is about to delete your home, so nothing is started with it. Ask "
                "them before you begin again."
            )

    async def _make_pod(self) -> None:
        """Make the pod, after what is left of the server's last life is removed."""
        pod = await self.get_pod_manifest()
        for left in reversed(range(TRIES)):
            try:
                made = await ask(self.api.create_namespaced_pod, self.namespace, pod)
            except ApiException as error:
                if error.status != CONFLICT or not left:
                    raise
                await self._remove_former()
            else:
                self._pod_uid = str(made.metadata.uid)
                return

    async def _remove_former(self) -> None:
        """Remove a pod that has the server's name, if it's ours."""
        former = await found(self.api.read_namespaced_pod, self.pod_name, self.namespace)
        if former is None:
            return
        self._require("pod", former.metadata)
        self.log.warning("Removing the pod %s that should have been cleaned up", self.pod_name)
        await self._delete(self.pod_name, str(former.metadata.uid), AT_ONCE_S)
        for _ in range(round(GONE_WITHIN_S / LOOK_EVERY_S)):
            there = await found(self.api.read_namespaced_pod, self.pod_name, self.namespace)
            if there is None or there.metadata.uid != former.metadata.uid:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    def _require(self, kind: str, about: Any) -> None:
        """Make sure that something is this user's of this portal."""
        if not self._owner.has({**(about.labels or {}), **(about.annotations or {})}):
            raise NotOursError(
                f"The cluster has a {kind} '{about.name}' that isn't marked as yours by this "
                "portal, so it is not used. An administrator can look at it (kubectl describe), "
                f"and set its label {PORTAL_LABEL} and its annotation {USER_LABEL}, or give the "
                "portal another backend.prefix."
            )

    async def _until_it_listens(self, pods: Pods, events: Events) -> str:
        """Return where the server listens; what can't succeed is noticed at once."""
        seen = False
        while True:
            pod = self._pod(pods)
            seen = seen or bool(pod)
            if seen and (not pod or is_over(pod)):
                raise SpawnException(await self._why(pods), reason="ended", status_code=500)
            if pod and self._tell(step_of(pod, events.of(self.pod_name))):
                address = str(pod["status"]["podIP"])
                if await answers(address, self.port):
                    host = f"[{address}]" if ":" in address else address
                    return f"http://{host}:{self.port}"
            if pods.silent_since:
                self.report(10, "The cluster doesn't answer at the moment; waiting goes on")
            await asyncio.sleep(LOOK_EVERY_S)

    def _tell(self, step: Step) -> bool:
        """Tell what the pod waits for, and return whether it runs."""
        if step.hopeless:
            raise SpawnException(step.message, reason="kubernetes", status_code=503)
        self.report(step.percent, step.message)
        return step.percent >= JUPYTERLAB_FROM

    def _pod(self, pods: Pods) -> Object:
        """Return what is known of this server's own pod, empty where it isn't there."""
        pod = pods.now.get(self.pod_name, {})
        same = not self._pod_uid or pod.get("metadata", {}).get("uid") == self._pod_uid
        return pod if same else {}

    # Running.

    async def poll(self) -> str | int | None:
        """Return None while the pod is there, as far as is known; else how it ended."""
        if not self.pod_name:
            return 0
        pods, _ = self._watches
        try:
            await pods.ready()
        except TimeoutError:
            self._note_silence(pods.silent_since)
            return None
        self.silence = ""
        pod = self._pod(pods)
        if pod and not is_over(pod):
            return None
        self.tell_ending(await self._why(pods))
        self.log.warning("%s has ended: %s", self._log_name, pod.get("status", "no pod"))
        return "its pod has ended"

    async def _why(self, pods: Pods) -> str:
        """Return why the pod ended."""
        output = await self._kept_output() if self._pod(pods) else ""
        return ending_of(pods.last(self.pod_name), self._memory_text, output)

    def _note_silence(self, since: datetime | None) -> None:
        """Tell that nothing is known of the server, since when."""
        if not self.silence:
            at = since or datetime.now(UTC)
            self.silence = (
                f"The Kubernetes cluster that runs it has not answered since {at:%H:%M} UTC. The "
                "server may go on all the same, but the portal can't see it."
            )

    async def _kept_output(self) -> str:
        """Return what the server said last, kept for those who look for the reason of its end."""
        try:
            output = await ask(
                self.api.read_namespaced_pod_log,
                self.pod_name,
                self.namespace,
                container="notebook",
                tail_lines=LOG_LINES,
            )
        except AWAY:
            return ""
        self.keep_log(str(output).encode())
        return str(output)

    def get_state(self) -> dict[str, Any]:
        """Keep what tells the pod from another of its name, and what it was given."""
        state = {**super().get_state(), "pod_uid": self._pod_uid, "memory_bytes": self.mem_limit}
        return {**state, "slug": self._slug} if self._slug else state

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the server after a restart of the hub."""
        super().load_state(state)
        self._pod_uid = state.get("pod_uid", "")
        self._slug = state.get("slug", "")
        self.mem_limit = state.get("memory_bytes")

    def clear_state(self) -> None:
        """Forget a server that has ended."""
        super().clear_state()
        self.pod_name = self._pod_uid = ""

    # The end.

    async def stop(self, now: bool = False) -> None:
        """End the pod; its user's pages have time to save."""
        pods, _ = self._watches
        try:
            await self._delete(self.pod_name, self._pod_uid, AT_ONCE_S if now else STOP_S)
            async with asyncio.timeout(STOP_S + GONE_WITHIN_S):
                while self._pod(pods) and not pods.silent_since:  # noqa: ASYNC110 - two conditions
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            self.log.warning("The node of %s doesn't remove it", self._log_name)
        except AWAY:
            self.ending = (
                "The cluster did not answer when this server was stopped. What is left of it ends "
                "as soon as the cluster answers again."
            )

    async def _delete(self, name: str, uid: str, grace_s: int) -> None:
        """Have a pod ended and removed, unless another has its name by now."""
        same = V1Preconditions(uid=uid) if uid else None
        options = V1DeleteOptions(grace_period_seconds=grace_s, preconditions=same)
        try:
            await ask(self.api.delete_namespaced_pod, name, self.namespace, body=options)
        except ApiException as error:
            if error.status not in (404, CONFLICT):
                raise

    async def run_post_stop_hook(self) -> Any:
        """Close the way to the server, and remove what is left of a pod that ended by itself."""
        try:
            return await maybe_future(super().run_post_stop_hook())
        finally:
            if self._pod_uid:
                try:
                    await self._delete(self.pod_name, self._pod_uid, AT_ONCE_S)
                except AWAY as error:
                    self.log.warning("The pod of %s is left: %s", self._log_name, error)

    async def delete_forever(self) -> None:
        """Leave the user's home: only an administrator deletes it, by the cluster's own means."""


async def answers(address: str, port: int) -> bool:
    """Return whether somebody listens there."""
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    writer.close()
    return True
