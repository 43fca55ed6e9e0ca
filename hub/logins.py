"""The ways to log in that a site profile can name."""

from ipaddress import ip_address
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    HttpUrl,
    NonNegativeFloat,
    PositiveFloat,
    field_validator,
    model_validator,
)

from workbench.declared import Declared

from .secrets import SecretRef

NO_PROVIDERS = ("github.com", "www.github.com")
"""Known for accounts, but they don't speak OpenID Connect to other sites."""
OPEN_TO_ALL = ("orcid.org", "sandbox.orcid.org", "accounts.google.com", "gitlab.com")
"""Providers at which everybody can make an account."""


def is_loopback(host: str | None) -> bool:
    """Return whether a host of an address is this machine itself."""
    try:
        return host == "localhost" or ip_address((host or "").strip("[]")).is_loopback
    except ValueError:
        return False


class Codes(Declared):
    """One-time codes, printed where the portal was started: for one person trying it out."""

    kind: Literal["codes"]


class Pam(Declared):
    """The accounts of the machine that the portal runs on."""

    kind: Literal["pam"]
    admins: list[str] = []


class IdentityProviders(Declared):
    """Which of the organisations behind a provider that stands for many may log in."""

    claim: str = Field(
        description="The claim that names a person's organisation, `schac_home_organization` for "
        "example; dots lead into objects"
    )
    allowed: list[str] = Field(min_length=1, description="Its values, letter for letter")


class Oidc(Declared):
    """An OpenID Connect provider: Keycloak, Umbrella, the facility's own."""

    kind: Literal["oidc"]
    name: str = Field("your facility's account", description="As the button says it")
    issuer: HttpUrl = Field(description="As the provider itself writes it")
    client_id: str
    client_secret: SecretRef
    scopes: list[str] = Field(
        ["openid", "profile", "email"],
        description="What the portal asks for; some providers give groups or refresh tokens "
        "(`offline_access`) only then",
    )
    username_claim: str = Field(
        "preferred_username",
        description="The claim that names a person at their first log-in; `sub` can never be given "
        "to somebody else",
    )
    groups_claim: str = Field(
        "groups", description="The claim that lists a person's groups; dots lead into objects"
    )
    allowed_users: list[str] = Field([], description="By the names that they have at the portal")
    allowed_groups: list[str] = Field(
        [],
        description="With `allowed_users` empty too, everybody whom the provider knows is let in",
    )
    admins: list[str] = Field([], description="By the names that they have at the portal")
    admin_groups: list[str] = []
    identity_providers: IdentityProviders | None = Field(
        None, description="None: people of all organisations that the provider stands for"
    )
    refresh_min: PositiveFloat = Field(
        5, description="How old what the provider said may be before it's asked again"
    )
    grace_h: NonNegativeFloat = Field(
        12,
        description="For how long people stay logged in while the provider doesn't answer; what it "
        "said last counts until then",
    )
    timeout_s: PositiveFloat = Field(10, description="How long the provider may take to answer")
    clock_leeway_s: NonNegativeFloat = Field(
        120, description="By how much the provider's clock may differ from the portal's"
    )

    @field_validator("issuer")
    @classmethod
    def _is_a_provider(cls, value: HttpUrl) -> HttpUrl:
        if value.scheme != "https" and not is_loopback(value.host):
            raise ValueError("an issuer begins with https://; only on this machine http:// will do")
        if value.username or value.password or value.query or value.fragment:
            raise ValueError("an issuer is an address without user, password, '?' and '#'")
        if value.host in NO_PROVIDERS:
            raise ValueError(
                f"{value.host} is no OpenID Connect provider for people: let one that accepts its "
                "accounts stand between, Keycloak for example"
            )
        return value

    @model_validator(mode="after")
    def _asks_for_openid(self) -> Self:
        if "openid" not in self.scopes:
            raise ValueError("scopes: without 'openid' a provider doesn't tell who somebody is")
        return self

    @model_validator(mode="after")
    def _not_for_the_whole_world(self) -> Self:
        limits = self.allowed_users, self.allowed_groups, self.identity_providers
        if self.issuer.host in OPEN_TO_ALL and not any(limits):
            raise ValueError(
                f"everybody can make an account at {self.issuer.host}: say in 'allowed_users' who "
                "may use the portal"
            )
        return self


class Ldap(Declared):
    """A directory of accounts."""

    kind: Literal["ldap"]
    server: str = Field(pattern=r"^[A-Za-z0-9.-]+$")
    port: Annotated[int, Field(ge=1, le=65535)] = 636
    bind_dn_templates: list[str] = Field(min_length=1)
    allowed_groups: list[str] = []
    admins: list[str] = []


Login = Annotated[Codes | Pam | Oidc | Ldap, Field(discriminator="kind")]
