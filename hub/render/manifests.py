"""Plain manifests: a portal inside of a cluster, without Helm. Pure, and the same every time."""

import hashlib
from collections.abc import Iterator

from spawners.kubernetes.checks import NEEDED
from spawners.kubernetes.settings import KubernetesSettings
from spawners.kubernetes.storage import Claim, Csi, Nfs

from ..deployment import Deployment
from ..site import SiteProfile
from .inside import (
    COMMAND,
    CONTAINER_SECURITY,
    POD_REST,
    POD_SECURITY,
    PROFILE,
    RESOURCES,
    SERVICE,
    STATE_SIZE,
    TMP_VIEW,
    TMP_VOLUME,
    Manifest,
    host_of,
    hub_image,
    ingress_head,
    profile_inside,
    variables,
)
from .policies import policies
from .refusals import backend_of

FOLDER = "/var/lib/beamhub"
# Below the volume's root, which its group may write: there, sockets and secrets would not be safe.
STATE = f"{FOLDER}/state"
STATE_CLAIM = "hub-state"
LABELS = {"app.kubernetes.io/name": "beamhub", "app.kubernetes.io/component": SERVICE}


def manifests(deployment: Deployment, ingress_class: str | None = None) -> list[Manifest]:
    """Return all that a portal needs of a cluster, in the order in which it's made.

    Parameters
    ----------
    deployment : Deployment
        The portal.
    ingress_class : str, optional
        Which of the cluster's ingresses leads to it, None for the default.

    Raises
    ------
    RenderError
        Its profile says what can't be had there.
    """
    backend = backend_of(deployment)
    made = [
        *inside(deployment, backend),
        ingress(deployment.site, ingress_class),
    ]
    return [namespace(backend), *(placed(one, backend.namespace) for one in made)]


def placed(made: Manifest, space: str) -> Manifest:
    """Return a manifest in its namespace."""
    return {**made, "metadata": {**made["metadata"], "namespace": space}}


def inside(deployment: Deployment, backend: KubernetesSettings) -> Iterator[Manifest]:
    """Yield what is in the namespace, but for the way in."""
    serving = deployment.site.serving
    profile = profile_inside(deployment, deployment.site)
    yield from account(backend)
    yield {**head("v1", "ConfigMap"), "data": {"site.yaml": profile}}
    yield claim(backend)
    yield portal(deployment, backend, profile)
    yield service(deployment.site)
    yield from policies(serving.port, serving.hub_port, LABELS, backend.ways_out)


def head(api: str, kind: str, name: str = SERVICE) -> Manifest:
    """Return what every manifest begins with."""
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": LABELS}}


def namespace(backend: KubernetesSettings) -> Manifest:
    """Return the namespace, as strict as the site's volumes let it be."""
    level = "restricted"
    if any(isinstance(volume, Nfs) for volume in backend.volumes.values()):
        level = "baseline"
    if any(not isinstance(volume, Nfs | Claim | Csi) for volume in backend.volumes.values()):
        level = "privileged"
    made = head("v1", "Namespace", backend.namespace)
    made["metadata"]["labels"] = {"pod-security.kubernetes.io/enforce": level}
    return made


def account(backend: KubernetesSettings) -> Iterator[Manifest]:
    """Yield the hub's service account with the rights it needs, and no others."""
    yield {**head("v1", "ServiceAccount"), "automountServiceAccountToken": False}
    rules = [
        {"apiGroups": [""], "resources": [resource], "verbs": list(verbs)}
        for resource, verbs in NEEDED.items()
    ]
    yield {**head("rbac.authorization.k8s.io/v1", "Role"), "rules": rules}
    subject = {"kind": "ServiceAccount", "name": SERVICE, "namespace": backend.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": SERVICE}
    binding = head("rbac.authorization.k8s.io/v1", "RoleBinding")
    yield {**binding, "subjects": [subject], "roleRef": role}


def claim(backend: KubernetesSettings) -> Manifest:
    """Return the volume of the state folder."""
    made = head("v1", "PersistentVolumeClaim", STATE_CLAIM)
    spec: Manifest = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": STATE_SIZE}},
    }
    if backend.storage_class:
        spec["storageClassName"] = backend.storage_class
    return {**made, "spec": spec}


def portal(deployment: Deployment, backend: KubernetesSettings, profile: str) -> Manifest:
    """Return the portal's pod: one at a time, since two would share a state folder."""
    # A profile that has changed makes another pod, which reads it.
    read = {"org.beamhub.profile": hashlib.sha256(profile.encode()).hexdigest()[:16]}
    template = {
        "metadata": {"labels": LABELS, "annotations": read},
        "spec": pod(deployment, backend),
    }
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": LABELS},
        "template": template,
    }
    return {**head("apps/v1", "Deployment"), "spec": spec}


def pod(deployment: Deployment, backend: KubernetesSettings) -> Manifest:
    """Return what runs hub and proxy."""
    secrets = [{"name": name} for name in backend.pull_secrets]
    return {
        "serviceAccountName": SERVICE,
        "automountServiceAccountToken": True,
        **POD_REST,
        **({"imagePullSecrets": secrets} if secrets else {}),
        "securityContext": POD_SECURITY,
        "containers": [container(deployment)],
        "volumes": [
            {"name": "profile", "configMap": {"name": SERVICE}},
            {"name": "state", "persistentVolumeClaim": {"claimName": STATE_CLAIM}},
            TMP_VOLUME,
        ],
    }


def container(deployment: Deployment) -> Manifest:
    """Return the container of hub and proxy."""
    site = deployment.site
    folder = PROFILE.rpartition("/")[0]
    health = {"httpGet": {"path": "/hub/health", "port": "api"}, "timeoutSeconds": 5}
    told = variables(site, STATE).items()
    return {
        "name": SERVICE,
        "image": hub_image(deployment),
        "args": COMMAND,
        "env": [
            {"name": name, **(value if isinstance(value, dict) else {"value": value})}
            for name, value in told
        ],
        "ports": [
            {"name": "http", "containerPort": site.serving.port},
            {"name": "api", "containerPort": site.serving.hub_port},
        ],
        "resources": RESOURCES,
        "securityContext": CONTAINER_SECURITY,
        "startupProbe": {**health, "periodSeconds": 5, "failureThreshold": 60},
        "livenessProbe": {**health, "periodSeconds": 30, "failureThreshold": 10},
        "readinessProbe": {**health, "periodSeconds": 5},
        "volumeMounts": [
            {"name": "profile", "mountPath": folder, "readOnly": True},
            {"name": "state", "mountPath": FOLDER},
            TMP_VIEW,
        ],
    }


def service(site: SiteProfile) -> Manifest:
    """Return by what ingress and servers reach the portal."""
    ports = [
        {"name": "http", "port": site.serving.port, "targetPort": "http"},
        {"name": "api", "port": site.serving.hub_port, "targetPort": "api"},
    ]
    return {**head("v1", "Service"), "spec": {"selector": LABELS, "ports": ports}}


def ingress(site: SiteProfile, ingress_class: str | None) -> Manifest:
    """Return the way in for users."""
    to = {"service": {"name": SERVICE, "port": {"name": "http"}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": to}]
    rules = [{"host": host_of(site), "http": {"paths": paths}}]
    spec = {**ingress_head(site, ingress_class), "rules": rules}
    return {**head("networking.k8s.io/v1", "Ingress"), "spec": spec}
