"""What the portal is given inside of a cluster, whichever way it gets there."""

from importlib.metadata import version
from typing import Any

from spawners.kubernetes.settings import CONTAINER, POD

from ..deployment import Deployment
from ..images.plan import HUB, reference
from ..secrets import SecretRef, values_in
from ..site import SiteProfile
from .text import as_yaml

Manifest = dict[str, Any]

SERVICE = "hub"
"""The service by which pods reach the hub, and the name of all that is the portal's own."""
SECRET = "beamhub-secrets"  # noqa: S105 - where they lie, not what they are
TLS_SECRET = "beamhub-tls"  # noqa: S105 - the same
ACCOUNT = 1000
STATE_SIZE = "10Gi"
PROFILE = "/site/site.yaml"
COMMAND = ["beamhub", "serve", PROFILE, "--log", "stderr"]
RESOURCES = {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}}
TMP_VOLUME = {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}
TMP_VIEW = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108
POD_SECURITY = {**POD, "runAsUser": ACCOUNT, "runAsGroup": ACCOUNT, "fsGroup": ACCOUNT}
CONTAINER_SECURITY = {**CONTAINER, "allowPrivilegeEscalation": False}
POD_REST = {
    "enableServiceLinks": False,
    # What is in this pod and asks the hub finds it before the service leads there, on clusters
    # too in which no pod reaches itself by a service. The hub believes a proxy at this address.
    "hostAliases": [{"ip": "127.0.0.1", "hostnames": [SERVICE]}],
}
"""What else is said of the hub's pod."""


def variables(site: SiteProfile, state: str, given: frozenset[str] = frozenset()) -> Manifest:
    """Return the hub's environment by name: a text, or from which secret.

    Parameters
    ----------
    site : SiteProfile
        What names the secrets.
    state : str
        The folder in which the portal keeps its state.
    given : frozenset of str
        Variables with secrets that are set already.
    """
    # The image knows no name of the account.
    told = {"BEAMHUB_STATE": state, "HOME": state, "USER": "beamhub"}
    places = (value for value in values_in(site) if isinstance(value, SecretRef))
    names = sorted({place.env for place in places if place.env} - given)
    return {**told, **{name: from_secret(name) for name in names}}


def from_secret(name: str) -> Manifest:
    """Return a variable's value that only the cluster knows."""
    return {"valueFrom": {"secretKeyRef": {"name": SECRET, "key": name}}}


def hub_image(deployment: Deployment) -> str:
    """Return the portal's own image, by digest where that is known."""
    tagged = reference(deployment.site.registry, HUB, version("beamhub"))
    return deployment.digests.get(tagged, tagged)


def server_images(deployment: Deployment) -> dict[str, str]:
    """Return the images of what users can open, by use case, and by digest where that is known."""
    tagged = tagged_images(deployment)
    return {name: deployment.digests.get(image, image) for name, image in tagged.items()}


def tagged_images(deployment: Deployment) -> dict[str, str]:
    """Return the images of what users can open, by tag."""
    registry = deployment.site.registry
    return {
        name: reference(registry, name, use_case.manifest.version)
        for name, use_case in deployment.offered.items()
        if not use_case.manifest.coming
    }


def profile_inside(deployment: Deployment, site: SiteProfile) -> str:
    """Return a profile as it takes effect, for the pod to read, with the digests known here."""
    known = deployment.digests
    used = sorted(set(tagged_images(deployment).values()) & set(known))
    told = site.model_copy(update={"digests": {image: known[image] for image in used}})
    return as_yaml(told.model_dump(mode="json", exclude_none=True))


def ingress_head(site: SiteProfile, ingress_class: str | None) -> Manifest:
    """Return which ingress leads to the portal, and with which certificate."""
    return {
        **({"ingressClassName": ingress_class} if ingress_class else {}),
        "tls": [{"hosts": [host_of(site)], "secretName": TLS_SECRET}],
    }


def host_of(site: SiteProfile) -> str:
    """Return the host name that users type; a portal that is rendered has one."""
    return str(site.serving.public_url.host) if site.serving.public_url else ""
