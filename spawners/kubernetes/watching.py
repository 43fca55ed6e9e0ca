"""What the cluster tells by itself: two lasting questions for all servers."""

import asyncio
import json
import random
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from kubernetes_asyncio import watch
from kubernetes_asyncio.client import ApiException
from tornado.log import app_log

from .client import ASK_S, AWAY

Object = dict[str, Any]
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 20.0
WATCH_S = 30
"""The question is put again so often, so that a way that was cut is noticed."""
GONE_KEPT = 500
EVENTS_KEPT = 60
EXPIRED = 410


class Watched(ABC):
    """Objects of one kind in a namespace, as the API server told of them last.

    Parameters
    ----------
    ask : callable
        Lists the objects: a method of the API's client.
    namespace : str
        Where they are.
    selectors : mapping of str to str
        Which of them.
    """

    def __init__(self, ask: Any, namespace: str, selectors: Mapping[str, str]) -> None:
        self._ask = partial(ask, namespace=namespace, _preload_content=False, **selectors)
        self._loaded = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.silent_since: datetime | None = None

    async def ready(self) -> None:
        """Begin to watch, and wait until it's known what is there.

        Raises
        ------
        TimeoutError
            The API server doesn't answer.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        if self.silent_since:
            raise TimeoutError
        async with asyncio.timeout(ASK_S):
            await self._loaded.wait()

    @abstractmethod
    def _begin(self, listed: list[Object]) -> None:
        """Take what is there now."""

    @abstractmethod
    def _take(self, kind: str, found: Object) -> None:
        """Take a change."""

    async def _watch(self) -> None:
        """Go on for as long as the hub runs, whatever the API server does."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                version = await self._list()
                self.silent_since, pause = None, FIRST_PAUSE_S
                self._loaded.set()
                await self._follow(version)
            except AWAY as error:
                if isinstance(error, ApiException) and error.status == EXPIRED:
                    continue
                if self.silent_since is None:
                    self.silent_since = datetime.now(UTC)
                    app_log.warning("Kubernetes doesn't answer: %s", str(error).strip())
                # Not all at the same moment, where several portals ask one server.
                await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311
                pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _list(self) -> str:
        """Ask for all, and return the version that changes are told from."""
        answer = await self._ask(_request_timeout=ASK_S, **self._listing)
        body = await answer.read()
        if answer.status != 200:
            raise ApiException(status=answer.status, reason=answer.reason)
        told = json.loads(body)
        self._begin(told["items"])
        return str(told["metadata"]["resourceVersion"])

    @property
    def _listing(self) -> Mapping[str, Any]:
        """How much is listed."""
        return {}

    async def _follow(self, version: str) -> None:
        """Take changes, until something is wrong."""
        while True:
            asked = watch.Watch().stream(
                self._ask,
                resource_version=version,
                allow_watch_bookmarks=True,
                timeout_seconds=WATCH_S,
                _request_timeout=WATCH_S + ASK_S,
            )
            async with asked as told:
                async for event in told:
                    version = event["raw_object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self._take(event["type"], event["raw_object"])


class Pods(Watched):
    """The pods of a portal.

    Attributes
    ----------
    now : dict of str to dict
        Those that are there, by name.
    """

    def __init__(self, ask: Any, namespace: str, selectors: Mapping[str, str]) -> None:
        super().__init__(ask, namespace, selectors)
        self.now: dict[str, Object] = {}
        self._gone: OrderedDict[str, Object] = OrderedDict()

    def last(self, name: str) -> Object:
        """Return what was told last of a pod, which may be gone; empty where nothing was."""
        return self.now.get(name) or self._gone.get(name) or {}

    def _begin(self, listed: list[Object]) -> None:
        before, self.now = self.now, {name_of(pod): pod for pod in listed}
        for name, pod in before.items():
            if name not in self.now:
                self._bury(name, pod)

    def _take(self, kind: str, found: Object) -> None:
        name = name_of(found)
        if kind == "DELETED":
            self.now.pop(name, None)
            self._bury(name, found)
        else:
            self.now[name] = found

    def _bury(self, name: str, pod: Object) -> None:
        self._gone[name] = pod
        self._gone.move_to_end(name)
        while len(self._gone) > GONE_KEPT:
            self._gone.popitem(last=False)


class Events(Watched):
    """What happens to pods and homes that somebody waits for; nothing else is kept."""

    def __init__(self, ask: Any, namespace: str, selectors: Mapping[str, str]) -> None:
        super().__init__(ask, namespace, selectors)
        self._wanted: dict[str, deque[Object]] = {}

    @property
    def _listing(self) -> Mapping[str, Any]:
        # A namespace can hold tens of thousands of old ones; only their version is of use.
        return {"limit": 1}

    def want(self, name: str) -> None:
        """Keep from now on what happens to an object of that name."""
        self._wanted[name] = deque(maxlen=EVENTS_KEPT)

    def forget(self, name: str) -> None:
        """Keep no more of it."""
        self._wanted.pop(name, None)

    def of(self, name: str) -> Iterator[Object]:
        """Yield what has happened to it, in the order of telling."""
        yield from self._wanted.get(name, ())

    def _begin(self, listed: list[Object]) -> None:
        del listed

    def _take(self, kind: str, found: Object) -> None:
        kept = self._wanted.get(found.get("involvedObject", {}).get("name", ""))
        if kept is not None and kind != "DELETED":
            kept.append(found)


WATCHES: dict[tuple[Any, ...], tuple[Pods, Events]] = {}


def watches(api: Any, namespace: str, selector: str) -> tuple[Pods, Events]:
    """Return the two watches that all servers of a portal share.

    Parameters
    ----------
    api : kubernetes_asyncio.client.CoreV1Api
        Of this loop.
    namespace : str
        Where pods are.
    selector : str
        What the labels of this portal's pods say.
    """
    key = (asyncio.get_running_loop(), namespace, selector)
    if key not in WATCHES:
        WATCHES[key] = (
            Pods(api.list_namespaced_pod, namespace, {"label_selector": selector}),
            Events(api.list_namespaced_event, namespace, {}),
        )
    return WATCHES[key]


def name_of(found: Object) -> str:
    """Return the name of an object."""
    return str(found["metadata"]["name"])
