"""The ways to log in that a site profile can name."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
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
    service: str = Field(
        "login",
        pattern=r"^[A-Za-z0-9._-]+$",
        description="The PAM service that is asked: a file in /etc/pam.d",
    )
    second_factor: Literal["after_password", "before_password"] | None = Field(
        None,
        description="Where PAM asks for more, such as a one-time password: the log-in page gets "
        "a second field, and PAM the two answers in this order",
    )
    sessions: bool = Field(
        False,
        description="Whether a session of PAM is open while a server runs, for modules that make "
        "or mount homes",
    )
    allowed_groups: list[str] = Field(
        [], description="Groups of the machine; empty lets in every account of a person"
    )
    admin_groups: list[str] = Field([], description="Groups of the machine")
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
                f"{value.host} isn't an OpenID Connect provider for people: let one that accepts "
                "its accounts stand between, Keycloak for example"
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


def with_username(template: str) -> str:
    """Return `template` if a name can be put into it, and nothing else."""
    rest = template.replace("{username}", "")
    if rest == template or "{" in rest or "}" in rest:
        raise ValueError("expected {username} where the name goes, and no other braces")
    return template


def user_filter(text: str) -> str:
    """Return `text` if it is a filter that depends on the name."""
    if not (text.startswith("(") and text.endswith(")")):
        raise ValueError("a filter begins with '(' and ends with ')', such as (uid={username})")
    return with_username(text)


class LdapSearch(Declared):
    """How an account is found, where its name in full doesn't follow from what people type."""

    base: str = Field(min_length=1, description="Below which entry accounts lie")
    filter: Annotated[str, AfterValidator(user_filter)] = Field(
        "(uid={username})",
        description="Which entry is the account: {username} is what somebody typed. With Active "
        "Directory for example (&(objectClass=user)(sAMAccountName={username}))",
    )
    bind_dn: str | None = Field(
        None, description="The account that may search; None searches as nobody"
    )
    password: SecretRef | None = Field(None, description="Of that account")

    @model_validator(mode="after")
    def _account_is_complete(self) -> Self:
        if bool(self.bind_dn) != bool(self.password):
            raise ValueError("'bind_dn' and 'password' go together")
        return self


class LdapGroups(Declared):
    """Where groups are: each below `base` is called by its `name_attribute`."""

    base: str = Field(
        min_length=1,
        description="Below which entry groups lie. Whoever can make groups there decides",
    )
    name_attribute: str = Field("cn", pattern=r"^[A-Za-z][A-Za-z0-9-]*$")
    nested: bool = Field(True, description="Whether groups in groups count")


class Ldap(Declared):
    """A directory of accounts."""

    kind: Literal["ldap"]
    server: str = Field(pattern=r"^[A-Za-z0-9.-]+$")
    fallback_servers: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+(:[0-9]+)?$")]] = Field(
        [],
        description="Asked in this order where `server` doesn't answer, at `port` or their own",
    )
    port: Annotated[int, Field(ge=1, le=65535)] = 636
    encryption: Literal["tls", "starttls"] | None = Field(
        None,
        description="From the beginning, or by StartTLS before anything is said. None: 'tls' on "
        "port 636, 'starttls' on others",
    )
    ca: Path | None = Field(
        None,
        description="A file with the certificates of the authorities that vouch for the servers; "
        "None: those that the machine trusts",
    )
    bind_dn_templates: list[Annotated[str, AfterValidator(with_username)]] = Field(
        [], description="Names in full, tried in this order: uid={username},ou=people,dc=example"
    )
    search: LdapSearch | None = Field(None, description="Instead of `bind_dn_templates`")
    username_attribute: str = Field(
        "uid",
        pattern=r"^[A-Za-z][A-Za-z0-9-]*$",
        description="The account's one name, however it was typed; sAMAccountName with Active "
        "Directory",
    )
    groups: LdapGroups | None = Field(
        None, description="Without it groups are those of the account's memberOf, named in full"
    )
    allowed_groups: list[str] = Field([], description="Empty lets in everybody in the directory")
    admin_groups: list[str] = []
    admins: list[str] = []

    @model_validator(mode="after")
    def _accounts_can_be_found(self) -> Self:
        if bool(self.search) == bool(self.bind_dn_templates):
            raise ValueError("expected either 'bind_dn_templates' or 'search'")
        return self

    @property
    def starttls(self) -> bool:
        """Whether a connection begins in the clear."""
        return self.encryption == "starttls" if self.encryption else self.port != 636

    @property
    def servers(self) -> list[tuple[str, int]]:
        """Hosts and ports, in the order in which they are asked."""
        found = [(self.server, self.port)]
        for server in self.fallback_servers:
            host, _, port = server.partition(":")
            found.append((host, int(port or self.port)))
        return found


Login = Annotated[Codes | Pam | Oidc | Ldap, Field(discriminator="kind")]
