"""The ways to log in that a site profile can name."""

from typing import Annotated, Literal

from pydantic import Field, HttpUrl

from workbench.declared import Declared

from .secrets import SecretRef


class Codes(Declared):
    """One-time codes, printed where the portal was started: for one person trying it out."""

    kind: Literal["codes"]


class Pam(Declared):
    """The accounts of the machine that the portal runs on."""

    kind: Literal["pam"]
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


class Ldap(Declared):
    """A directory of accounts."""

    kind: Literal["ldap"]
    server: str = Field(pattern=r"^[A-Za-z0-9.-]+$")
    port: Annotated[int, Field(ge=1, le=65535)] = 636
    bind_dn_templates: list[str] = Field(min_length=1)
    allowed_groups: list[str] = []
    admins: list[str] = []


Login = Annotated[Codes | Pam | Oidc | Ldap, Field(discriminator="kind")]
