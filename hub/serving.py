"""Where the portal listens, who encrypts, and what users type to reach it."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, HttpUrl, field_validator, model_validator

from workbench.declared import Declared

from .secrets import SecretRef


class Apart(Declared):
    """Hub and proxy in containers of their own: servers stay reachable while the hub restarts."""

    hub_url: HttpUrl = Field(
        HttpUrl("http://hub:8081"),
        description="Where the proxy and users' servers reach the hub, which listens on that port",
    )
    proxy_socket: Path | None = Field(
        None,
        description="Where the proxy takes the hub's orders: a Unix socket in a folder that only "
        "these two have",
    )
    proxy_url: HttpUrl | None = Field(
        None,
        description="The same of a proxy on another machine, which somebody else starts: in the "
        "Zero-to-JupyterHub chart it has a pod of its own. Only the hub may have a way there",
    )
    proxy_token: SecretRef = Field(description="What the hub shows to the proxy")

    @model_validator(mode="after")
    def _orders_go_to_one_place(self) -> Self:
        if (self.proxy_socket is None) == (self.proxy_url is None):
            raise ValueError("'apart' needs 'proxy_socket' or 'proxy_url', one of both")
        return self


class Serving(Declared):
    """Where the portal listens, and who encrypts."""

    bind: str = Field("127.0.0.1", description="The address to listen on")
    port: Annotated[int, Field(ge=1024, le=65000)] = Field(
        8000,
        description="Containers reach the hub at the one 81 above; jobs of a cluster dial in at "
        "the one 82 above",
    )
    public_url: HttpUrl | None = Field(
        None, description="What users type, behind a TLS proxy; an address without a path"
    )
    tls: Literal["none", "proxy", "own"] = Field(
        "none", description="'proxy': a reverse proxy ends TLS; 'own': with certificate and key"
    )
    certificate: Path | None = None
    key: Path | None = None
    user_subdomains: bool = Field(
        False,
        description="Each user's servers have a host name of their own below that of 'public_url', "
        "so that a notebook can't act in its reader's browser as the portal does. Needs a wildcard "
        "in DNS and in the certificate",
    )
    apart: Apart | None = Field(
        None,
        description="The proxy runs apart, as 'beamhub proxy'. It listens at every address of its "
        "container, and 'bind' is where the machine publishes its port",
    )

    @field_validator("public_url")
    @classmethod
    def _has_no_path(cls, value: HttpUrl | None) -> HttpUrl | None:
        if value is not None and (value.path or "/") != "/":
            raise ValueError(
                "'public_url' has a path, and a portal can't be below one: its pages and cookies "
                "are at the root of a host. Give it a host name of its own, or a port, such as "
                f"{value.scheme}://beamhub.example.org"
            )
        if value is not None and (value.query or value.fragment or value.username):
            raise ValueError("'public_url' is an address without user, password, '?' and '#'")
        return value

    @model_validator(mode="after")
    def _tls_is_complete(self) -> Self:
        try:
            ip_address(self.bind)
        except ValueError:
            raise ValueError("'bind' must be an address such as 127.0.0.1 or 0.0.0.0") from None
        if self.tls == "own" and not (self.certificate and self.key):
            raise ValueError("tls: own needs 'certificate' and 'key'")
        if self.tls == "own" and self.apart:
            raise ValueError("with 'apart', tls must be 'none' or 'proxy'")
        if self.tls == "proxy" and not str(self.public_url or "").startswith("https://"):
            raise ValueError("tls: proxy needs the 'public_url' that users type, with https://")
        if self.user_subdomains and not has_subdomains(self.public_url):
            raise ValueError(
                "user_subdomains needs the 'public_url' that users type, with a host name: "
                "users' servers are at names below it"
            )
        return self

    @property
    def hub_port(self) -> int:
        """Where the hub listens, if servers can't reach it by a socket."""
        return (self.apart.hub_url.port if self.apart else None) or self.port + 81

    @property
    def tunnel_port(self) -> int:
        """Where servers on other machines dial in, where there are such."""
        return self.port + 82

    @property
    def reachable(self) -> bool:
        """Whether other machines can reach the portal, by its own address or through a proxy."""
        if not ip_address(self.bind).is_loopback or self.tls != "none":
            return True
        return self.public_url is not None and not is_localhost(self.public_url)

    @property
    def users_origins(self) -> str:
        """What stands for all users' own origins in a policy; empty where they have none."""
        scheme, _, host = self.url.partition("://")
        return f"{scheme}://*.{host}" if self.user_subdomains else ""

    @property
    def encrypted(self) -> bool:
        """Whether browsers reach the portal by TLS."""
        return self.url.startswith("https://")

    @property
    def own_url(self) -> str:
        """The address that it listens on."""
        scheme = "https" if self.tls == "own" else "http"
        host = f"[{self.bind}]" if ":" in self.bind else self.bind
        return f"{scheme}://{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address that users type."""
        return str(self.public_url or self.own_url).rstrip("/")


def is_localhost(url: HttpUrl) -> bool:
    """Return whether a name leads to the machine of whoever types it (RFC 6761)."""
    host = url.host or ""
    return host == "localhost" or host.endswith(".localhost")


def has_subdomains(url: HttpUrl | None) -> bool:
    """Return whether there can be names below that of an address, with the same portal."""
    if url is None:
        return False
    try:
        ip_address((url.host or "").strip("[]"))
    except ValueError:
        return True
    return False
