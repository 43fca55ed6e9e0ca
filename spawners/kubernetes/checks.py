"""Whether the cluster can do what the backend asks of it, and lets the portal ask."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from kubernetes_asyncio.client import (
    ApiClient,
    ApiException,
    AuthorizationV1Api,
    CoreV1Api,
    StorageV1Api,
    V1ResourceAttributes,
    V1SelfSubjectAccessReview,
    V1SelfSubjectAccessReviewSpec,
)

from ..launch import Resources
from .client import AWAY, ask, found, message_of, own_client
from .settings import CONTAINER, POD, KubernetesSettings
from .storage import home_claim
from .words import refusal_of

NEEDED = {
    "pods": ("get", "list", "watch", "create", "delete"),
    "pods/log": ("get",),
    "persistentvolumeclaims": ("get", "create"),
    "events": ("list", "watch"),
}
"""What the portal does in its namespace."""
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
ANSWERING = "The Kubernetes cluster doesn't answer"
NAME = "beamhub-check"


def findings(backend: KubernetesSettings) -> list[str]:
    """Return what is missing to run pods, a sentence each.

    Parameters
    ----------
    backend : KubernetesSettings
        What is asked of the cluster.
    """
    return asked(lambda client: everything(client, backend))


def too_large(backend: KubernetesSettings, sizes: Mapping[str, Resources]) -> list[str]:
    """Return which sizes the cluster would refuse, a sentence each.

    A pod of each is sent for a trial: all rules of the cluster are asked, and nothing is made.

    Parameters
    ----------
    backend : KubernetesSettings
        What is asked of the cluster.
    sizes : mapping
        What each size grants, by its name.
    """
    told = asked(lambda client: refused_sizes(client, backend, sizes))
    # That nobody answers has been told already.
    return [] if any(ANSWERING in text for text in told) else told


def asked(question: Callable[[ApiClient], Awaitable[list[str]]]) -> list[str]:
    """Return the answer to a question, or that there is none."""

    async def put() -> list[str]:
        async with own_client() as client:
            return await question(client)

    try:
        return asyncio.run(put())
    except ApiException as error:
        return [f"The Kubernetes cluster refuses to answer: {refusal(error)}"]
    except AWAY as error:
        why = " ".join(str(error).split()) or "it took too long"
        return [f"{ANSWERING} ({why}). Start it, or name another in KUBECONFIG."]


def refusal(error: ApiException) -> str:
    """Return in words why the cluster refused something."""
    return refusal_of(error.status or 0, message_of(error))


async def everything(client: ApiClient, backend: KubernetesSettings) -> list[str]:
    """Return what is missing: the namespace, rights, a storage class, room for a home."""
    api = CoreV1Api(client)
    try:
        space = await found(api.read_namespace, backend.namespace)
    except ApiException as error:
        # Whether there is such a namespace is more than many portals may know.
        if error.status != 403:
            raise
    else:
        if space is None:
            return [
                f"backend.namespace: the cluster has no namespace '{backend.namespace}': kubectl "
                f"create namespace {backend.namespace}"
            ]
    told = [text async for text in rights_lacking(AuthorizationV1Api(client), backend.namespace)]
    told += await class_lacking(StorageV1Api(client), backend.storage_class)
    if not told:
        told += await home_refused(api, backend)
    return told


async def rights_lacking(api: AuthorizationV1Api, namespace: str) -> AsyncIterator[str]:
    """Yield what the portal may not do in its namespace, and the command that lets it."""
    for resource, verbs in NEEDED.items():
        kind, _, part = resource.partition("/")
        lacking = []
        for verb in verbs:
            attributes = V1ResourceAttributes(
                namespace=namespace, verb=verb, resource=kind, subresource=part or None
            )
            review = V1SelfSubjectAccessReview(
                spec=V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
            )
            answer = await ask(api.create_self_subject_access_review, review)
            if not answer.status.allowed:
                lacking.append(verb)
        if lacking:
            yield (
                f"The portal may not {', '.join(lacking)} {resource} in the namespace "
                f"'{namespace}'. Bind its account to a role that lets it: kubectl -n {namespace} "
                f"create role beamhub-{resource.replace('/', '-')} --verb={','.join(verbs)} "
                f"--resource={resource}"
            )


async def class_lacking(api: StorageV1Api, wanted: str | None) -> list[str]:
    """Return that there is no storage class for homes, where the portal may know it."""
    try:
        classes = (await ask(api.list_storage_class)).items
    except ApiException as error:
        if error.status != 403:
            raise
        return []
    names = [one.metadata.name for one in classes]
    known = f"There are {', '.join(names)}." if names else "There are none."
    if wanted and wanted not in names:
        return [f"backend.storage_class: the cluster has no storage class '{wanted}'. {known}"]
    default = [o for o in classes if (o.metadata.annotations or {}).get(DEFAULT_CLASS) == "true"]
    if not wanted and not default:
        return [
            "The cluster has no default storage class, so homes can't be made: name one in "
            f"backend.storage_class. {known}"
        ]
    return []


async def home_refused(api: CoreV1Api, backend: KubernetesSettings) -> list[str]:
    """Return why a new user's home would be refused."""
    body = home_claim(
        NAME,
        storage_class=backend.storage_class,
        capacity=f"{backend.home_gib}Gi",
        access=backend.home_access,
        labels={},
        annotations={},
    )
    make = api.create_namespaced_persistent_volume_claim
    try:
        await ask(make, backend.namespace, body, dry_run="All")
    except ApiException as error:
        return [f"A new user's home would be refused: {refusal(error)}"]
    return []


async def refused_sizes(
    client: ApiClient, backend: KubernetesSettings, sizes: Mapping[str, Resources]
) -> list[str]:
    """Return which sizes would be refused, and why."""
    api, told = CoreV1Api(client), []
    for size, resources in sizes.items():
        body = trial_pod(backend, size, resources)
        try:
            await ask(api.create_namespaced_pod, backend.namespace, body, dry_run="All")
        except ApiException as error:
            told.append(f"sizes.{size}: {refusal(error)}")
    return told


def trial_pod(backend: KubernetesSettings, size: str, resources: Resources) -> dict[str, Any]:
    """Return a pod of a size as the cluster's rules see it."""
    where = backend.placement(size)
    memory = resources.memory_gib * 2**30
    limits = {"cpu": str(resources.cores), "memory": str(round(memory))}
    limits |= {where.gpu_resource: str(resources.gpus)} if resources.gpus else {}
    requests = {
        **limits,
        "cpu": str(resources.cores * backend.cores_guaranteed),
        "memory": str(round(memory * backend.memory_guaranteed)),
    }
    container = {
        "name": "notebook",
        "image": "beamhub/check",
        "resources": {"limits": limits, "requests": requests},
        "securityContext": {
            **CONTAINER,
            "runAsUser": backend.first_number,
            "allowPrivilegeEscalation": False,
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME},
        "spec": {
            **backend.pod_config(resources),
            "automountServiceAccountToken": False,
            "securityContext": POD,
            "containers": [container],
            **({"priorityClassName": where.priority_class} if where.priority_class else {}),
            "volumes": list(site_parts(backend)),
        },
    }


def site_parts(backend: KubernetesSettings) -> Iterator[dict[str, Any]]:
    """Yield the site's volumes, some of which a namespace may not let in."""
    for name, volume in backend.volumes.items():
        yield {"name": f"site-{name}"[:63], **volume.source(PurePath(), read_only=True)}
