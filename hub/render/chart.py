"""Values for the Zero-to-JupyterHub chart: hub and profile are ours, the rest is the chart's.

Its hub is told another command: `beamhub serve`, which makes JupyterHub's configuration itself.
The chart's own, with all that it says of log-ins and servers, is never read then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spawners.kubernetes.checks import trial_pod
from spawners.kubernetes.settings import KubernetesSettings, Placement

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
    host_of,
    hub_image,
    ingress_head,
    profile_inside,
    server_images,
    variables,
)
from .policies import outside
from .refusals import RenderError, backend_of

CHART = "4.4.0"
"""The chart's version, whose templates and schema these values were tried with."""
RELEASE = "beamhub"
PORT = 8000
"""Of the chart's proxy. Its hub has the one 81 above."""
TOKEN = "CONFIGPROXY_AUTH_TOKEN"  # noqa: S105 - where it lies
"""The variable in which the chart itself tells its hub the proxy's token."""
# The chart's volume, and in it a folder of the portal's own: others may write the volume's root.
STATE = "/srv/jupyterhub/state"
LABELS = {
    "release": RELEASE,
    "app.kubernetes.io/instance": RELEASE,
    "hub.jupyter.org/network-access-hub": "true",
}
"""By which the chart's network policies know servers, beside what KubeSpawner says of them."""

Values = dict[str, Any]


@dataclass(frozen=True)
class Placeholders:
    """Pods that keep room for servers to come, and make way for them."""

    size: str
    number: int


def values(
    deployment: Deployment,
    ingress_class: str | None = None,
    placeholders: Placeholders | None = None,
) -> Values:
    """Return the chart's values for a portal.

    Parameters
    ----------
    deployment : Deployment
        The portal.
    ingress_class : str, optional
        Which of the cluster's ingresses leads to it, None for the default.
    placeholders : Placeholders, optional
        What keeps room for servers to come, None for nothing.

    Raises
    ------
    RenderError
        Its profile says what can't be had there.
    """
    site = deployment.site
    backend = backend_of(deployment, other_ports(site))
    return {
        # Services are called 'hub' and 'proxy-api', whatever the release's name.
        "fullnameOverride": "",
        "imagePullSecrets": list(backend.pull_secrets),
        "hub": hub(deployment, backend),
        "proxy": {
            # The ingress alone leads there; the chart's default is a way past it without TLS.
            "service": {"type": "ClusterIP"},
            "chp": {"resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}},
        },
        "singleuser": singleuser(deployment, backend),
        "scheduling": scheduling(site, backend, placeholders),
        "prePuller": pulling(deployment, backend),
        "ingress": ingress(site, ingress_class),
        # The portal ends idle servers itself.
        "cull": {"enabled": False},
    }


def heading(deployment: Deployment) -> str:
    """Return the lines that say what the values are for."""
    space = backend_of(deployment).namespace
    return (
        f"# Values for the Zero-to-JupyterHub chart {CHART}, made by 'beamhub render helm':\n"
        f"# helm upgrade --install {RELEASE} jupyterhub --version {CHART} \\\n"
        f"#   --repo https://hub.jupyter.org/helm-chart/ --namespace {space} --values values.yaml\n"
    )


def other_ports(site: SiteProfile) -> Iterator[str]:
    """Yield that the chart has ports of its own."""
    if site.serving.port != PORT:
        yield (
            f"serving.port: the chart's proxy listens at {PORT}, its hub at {PORT + 81}; leave it "
            "out"
        )


def hub(deployment: Deployment, backend: KubernetesSettings) -> Values:
    """Return what is said of the hub."""
    profile = profile_inside(deployment, with_charts_proxy(deployment.site))
    volume = {"storage": STATE_SIZE}
    if backend.storage_class:
        volume["storageClassName"] = backend.storage_class
    return {
        "image": named(hub_image(deployment)),
        "args": [*COMMAND[:1], COMMAND[1] + only_for(backend.namespace), *COMMAND[2:]],
        # For whoever takes the arguments away: nobody can log in, instead of everybody.
        "config": {"JupyterHub": {"authenticator_class": "null", "admin_access": False}},
        "extraFiles": {"site.yaml": {"mountPath": PROFILE, "stringData": profile}},
        "extraEnv": variables(deployment.site, STATE, frozenset({TOKEN})),
        # This is how the chart comes to make a volume. What database there is the profile says.
        "db": {"type": "sqlite-pvc", "pvc": volume},
        "podSecurityContext": POD_SECURITY,
        "containerSecurityContext": CONTAINER_SECURITY,
        "resources": RESOURCES,
        "extraVolumes": [TMP_VOLUME],
        "extraVolumeMounts": [TMP_VIEW],
        "extraPodSpec": POD_REST,
    }


def with_charts_proxy(site: SiteProfile) -> SiteProfile:
    """Return the profile of a portal whose proxy is the chart's, and whose servers it knows."""
    told = site.model_dump(mode="json", exclude_none=True)
    told["serving"]["apart"] = {
        "hub_url": f"http://{SERVICE}:{PORT + 81}",
        "proxy_url": f"http://proxy-api:{PORT + 1}",
        "proxy_token": {"env": TOKEN},
    }
    told["backend"]["labels"] = {**told["backend"].get("labels", {}), **LABELS}
    return SiteProfile.model_validate(told)


def only_for(namespace: str) -> str:
    """Return what Helm refuses another release or namespace by: there, no policy would hold."""
    way = f"helm upgrade --install {RELEASE} --namespace {namespace}"
    return (
        f'{{{{ if or (ne .Release.Name "{RELEASE}") (ne .Release.Namespace "{namespace}") }}}}'
        f'{{{{ fail "These values are for: {way}" }}}}{{{{ end }}}}'
    )


def named(image: str) -> Values:
    """Return an image as the chart has it, which puts a colon between both parts."""
    name, _, tag = image.rpartition(":")
    return {"name": name, "tag": tag}


def singleuser(deployment: Deployment, backend: KubernetesSettings) -> Values:
    """Return what the chart, not the hub, has to know of servers."""
    images = list(server_images(deployment).values())
    return {
        # The chart pulls one in any case, and would take a sample of its own.
        **({"image": named(images[0])} if images else {}),
        "nodeSelector": common_selector(backend),
        # A policy keeps servers away from it instead of a container with all rights in each pod.
        "cloudMetadata": {"blockWithIptables": False, "ip": "169.254.169.254"},
        "networkPolicy": {
            "enabled": True,
            # The chart's own idea of the internet leaves some private networks in.
            "egressAllowRules": {
                "cloudMetadataServer": False,
                "nonPrivateIPs": False,
                "privateIPs": False,
            },
            "egress": list(outside(backend.ways_out)),
        },
    }


def placements(backend: KubernetesSettings) -> list[Placement]:
    """Return where pods run, by whichever size."""
    return [backend.placement(size) for size in ("", *backend.by_size)]


def common_selector(backend: KubernetesSettings) -> dict[str, str]:
    """Return what all nodes have on which servers run: there, images are pulled beforehand."""
    first, *others = (set(where.node_selector.items()) for where in placements(backend))
    return dict(sorted(first.intersection(*others)))


def scheduling(
    site: SiteProfile, backend: KubernetesSettings, placeholders: Placeholders | None
) -> Values:
    """Return that pods are placed by the cluster's own scheduler, and what keeps room for them."""
    alone = {"userScheduler": {"enabled": False}}
    if placeholders is None:
        return {**alone, "userPlaceholder": {"enabled": False}}
    return {
        **alone,
        # Placeholders are below all others, so that a server that needs their room gets it.
        "podPriority": {"enabled": True},
        "userPlaceholder": {
            "enabled": True,
            "replicas": placeholders.number,
            "resources": taken(site, backend, placeholders.size),
        },
    }


def taken(site: SiteProfile, backend: KubernetesSettings, size: str) -> Values:
    """Return what a server of a size takes of a node.

    Raises
    ------
    RenderError
        There is no such size, or the chart can't keep room for it.
    """
    if size not in site.sizes:
        there = ", ".join(site.sizes)
        raise RenderError(f"There is no size '{size}' to keep room for. There are {there}.")
    if size in backend.by_size:
        raise RenderError(
            f"Servers of the size '{size}' run on nodes of their own (backend.by_size), on which "
            "the chart can't keep room. Choose another size."
        )
    [container] = trial_pod(backend, size, site.sizes[size])["spec"]["containers"]
    found: Values = container["resources"]
    return found


def pulling(deployment: Deployment, backend: KubernetesSettings) -> Values:
    """Return which images are on the nodes before somebody waits for them."""
    images = server_images(deployment)
    tolerated = [
        toleration.model_dump(exclude_none=True)
        for where in placements(backend)
        for toleration in where.tolerations
    ]
    return {
        "hook": {"enabled": bool(images)},
        "continuous": {"enabled": bool(images)},
        "extraTolerations": [t for n, t in enumerate(tolerated) if t not in tolerated[:n]],
        "extraImages": {name: named(image) for name, image in images.items()},
    }


def ingress(site: SiteProfile, ingress_class: str | None) -> Values:
    """Return the way in for users."""
    return {"enabled": True, "hosts": [host_of(site)], **ingress_head(site, ingress_class)}
