"""The API server of the cluster: which one it is, and what is raised where it doesn't answer."""

import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp
import kubernetes_asyncio.client
from kubernetes_asyncio.client import ApiClient, ApiException
from kubernetes_asyncio.config import ConfigException
from kubespawner.clients import load_config

from ..launch import BackendError

Answer = TypeVar("Answer")
AWAY = (ApiException, aiohttp.ClientError, OSError, TimeoutError, ValueError)
"""The API server doesn't answer, or refuses; the latter is `ApiException` with a status."""
ASK_S = 20
"""For one answer."""


def configuration() -> None:
    """Learn where the API server is, and how to log in there.

    Raises
    ------
    BackendError
        Nothing here says so.
    """
    found: list[Exception] = []

    def load() -> None:
        try:
            load_config()
        except (ConfigException, OSError, ValueError, KeyError, TypeError) as error:
            found.append(error)

    # It runs a loop of its own, which a thread with a loop can't have.
    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    if found:
        why = " ".join(str(found[0]).split())
        raise BackendError(
            "This machine knows no Kubernetes cluster: set KUBECONFIG to a file that names one, or "
            f"run the portal inside of it, with a service account. ({why})"
        )


def message_of(error: ApiException) -> str:
    """Return what the API server says in its refusal."""
    try:
        told = json.loads(error.body or "")
    except ValueError:
        return str(error.reason or error.status)
    return str(told.get("message") or error.reason) if isinstance(told, dict) else str(told)


async def ask(call: Callable[..., Awaitable[Answer]], *args: Any, **kwargs: Any) -> Answer:
    """Return the API server's answer, or raise one of `AWAY`."""
    return await call(*args, _request_timeout=ASK_S, **kwargs)


async def found(call: Callable[..., Awaitable[Answer]], *args: Any, **kwargs: Any) -> Answer | None:
    """Return the API server's answer, None where there is no such thing."""
    try:
        return await ask(call, *args, **kwargs)
    except ApiException as error:
        if error.status != 404:
            raise
        return None


def own_client() -> ApiClient:
    """Return a client for a few questions, to be entered as a context."""
    return kubernetes_asyncio.client.ApiClient()
