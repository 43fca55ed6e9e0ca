"""What of a site profile can't be had in a pod of the portal itself."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from spawners.kubernetes.settings import KubernetesSettings

from ..deployment import Deployment
from ..logins import Pam
from ..secrets import SecretRef, values_in
from ..serving import has_subdomains
from ..site import SiteProfile
from .inside import SERVICE


class RenderError(Exception):
    """The profile can't be rendered; the text is for the administrator."""


def backend_of(deployment: Deployment, besides: Iterable[str] = ()) -> KubernetesSettings:
    """Return what a portal asks of a cluster that it can run inside of.

    Parameters
    ----------
    deployment : Deployment
        The portal.
    besides : iterable of str
        What else speaks against it, a sentence each.

    Raises
    ------
    RenderError
        Its profile says what can't be had there.
    """
    name, site = deployment.name, deployment.site
    backend = site.backend
    if not isinstance(backend, KubernetesSettings):
        raise RenderError(
            f"The profile '{name}' starts servers by '{backend.kind}'. Only one with "
            "'backend: {kind: kubernetes}' can be rendered; begin with 'extends: cloud'."
        )
    if whys := [*refusals(site, backend), *besides]:
        listed = "\n".join(f"  - {why}" for why in whys)
        raise RenderError(f"The profile '{name}' can't be rendered:\n{listed}")
    return backend


def refusals(site: SiteProfile, backend: KubernetesSettings) -> Iterator[str]:
    """Yield why a portal of this profile can't run inside of its cluster, a sentence each."""
    yield from (f"to fill in: {sentence}" for sentence in site.template)
    yield from unreachable(site, backend)
    if isinstance(site.login, Pam) or site.backend.names_are_accounts:
        yield (
            "login, backend.accounts: a pod has no accounts of a machine. Let users log in by "
            "'oidc' or 'ldap', and leave backend.accounts at 'portal'"
        )
    if backend.prefix == SERVICE:
        yield f"backend.prefix: '{SERVICE}' is what the portal's own are called; choose another"
    yield from files(site)


def unreachable(site: SiteProfile, backend: KubernetesSettings) -> Iterator[str]:
    """Yield what keeps users or servers from reaching the portal."""
    serving = site.serving
    if serving.tls != "proxy":
        yield "serving.tls: the cluster's ingress ends TLS, so this must be 'proxy'"
    elif serving.public_url and serving.public_url.port != 443:
        yield "serving.public_url: an ingress listens at 443 only; leave the port out"
    elif not has_subdomains(serving.public_url):
        yield "serving.public_url: an ingress knows a portal by its host name, not by an address"
    if serving.bind != "0.0.0.0":  # noqa: S104
        yield "serving.bind: the ingress reaches the pod from outside: 0.0.0.0"
    if serving.user_subdomains:
        yield "serving.user_subdomains: the ingress made here knows one host name; leave it out"
    if serving.apart:
        yield "serving.apart: where the proxy runs is decided here; leave it out"
    if str(backend.listen) != "0.0.0.0":  # noqa: S104
        yield "backend.listen: servers reach the hub from other pods: 0.0.0.0"
    expected = f"http://{SERVICE}:{serving.hub_port}"
    if site.backend.hub_connect_url != expected:
        yield f"backend.hub_url: inside of the cluster the hub is a service: {expected}"


def files(site: SiteProfile) -> Iterator[str]:
    """Yield which files of this machine the portal would look for in its pod."""
    if site.look.logo:
        yield "look.logo: the pod doesn't have that file; leave it out"
    if site.announcements:
        yield "announcements: the pod doesn't have that file; leave it out"
    places = [value for value in values_in(site) if isinstance(value, SecretRef)]
    yield from (
        f"the secret in {place.file}: the pod doesn't have that file. Say {{env: NAME}}: it is "
        "read from a Secret of the namespace"
        for place in places
        if place.file
    )
    login = [value for value in values_in(site.login) if isinstance(value, Path)]
    yield from (f"login: the pod doesn't have the file {path}" for path in login)
