"""Pods that nobody knows any more: of servers given up while the cluster did not answer."""

from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import kubernetes_asyncio.client

from ..labels import PORTAL_LABEL
from .client import AWAY, ask, own_client

YOUNG = timedelta(minutes=2)
"""One that has just been made may not be known to the hub yet."""


async def remove_strays(known: Collection[str], namespace: str, portal: str) -> int:
    """Remove this portal's pods but those known, and return how many there were.

    Parameters
    ----------
    known : collection of str
        Names of the pods of all servers that the hub knows.
    namespace : str
        Where pods are.
    portal : str
        The label of all that belongs to this portal.
    """
    count = 0
    # Where nobody answers, what is left is left for the next time.
    with suppress(*AWAY):
        async with own_client() as client:
            api = kubernetes_asyncio.client.CoreV1Api(client)
            selector = f"{PORTAL_LABEL}={portal}"
            listed = await ask(api.list_namespaced_pod, namespace, label_selector=selector)
            for pod in listed.items:
                young = datetime.now(UTC) - pod.metadata.creation_timestamp < YOUNG
                if pod.metadata.name in known or young or pod.metadata.deletion_timestamp:
                    continue
                same = kubernetes_asyncio.client.V1Preconditions(uid=pod.metadata.uid)
                body = kubernetes_asyncio.client.V1DeleteOptions(preconditions=same)
                await ask(api.delete_namespaced_pod, pod.metadata.name, namespace, body=body)
                count += 1
    return count
