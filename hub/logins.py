"""The ways to log in that a site profile can name."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, HttpUrl, model_validator

from workbench.declared import Declared

from .secrets import SecretRef


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


class Oidc(Declared):
    """An OpenID Connect provider: Keycloak, Umbrella, the facility's own."""

    kind: Literal["oidc"]
    name: str = Field("your facility's account", description="As the button says it")
    issuer: HttpUrl
    client_id: str
    client_secret: SecretRef
    username_claim: str = "preferred_username"
    allowed_groups: list[str] = Field([], description="Empty lets in everybody the provider knows")
    admin_groups: list[str] = []


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
