"""What an OpenID Connect provider publishes of itself."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ValidationError

from .fetching import DeclinedError, Fetcher, ProviderError, UnreachableError, refuse_open

WELL_KNOWN = "/.well-known/openid-configuration"


def encrypted(url: str) -> str:
    """Return an address that may be used."""
    try:
        refuse_open(url)
    except UnreachableError as error:
        raise ValueError(str(error)) from None
    return url


Address = Annotated[str, AfterValidator(encrypted)]


class Provider(BaseModel):
    """What OpenID Connect Discovery 1.0 says of a provider, as far as a portal needs it."""

    issuer: str
    authorization_endpoint: Address
    token_endpoint: Address
    jwks_uri: Address
    userinfo_endpoint: Address | None = None
    end_session_endpoint: Address | None = None
    scopes_supported: list[str] | None = None
    claims_supported: list[str] | None = None
    response_types_supported: list[str] = ["code"]
    grant_types_supported: list[str] = ["authorization_code"]
    code_challenge_methods_supported: list[str] = []
    token_endpoint_auth_methods_supported: list[str] = ["client_secret_basic"]

    @property
    def takes_secret_in_body(self) -> bool:
        """Whether the client's secret may stand in the body of a request."""
        return "client_secret_post" in self.token_endpoint_auth_methods_supported


async def discover(issuer: str, fetch: Fetcher) -> Provider:
    """Return what the provider publishes.

    Raises
    ------
    ProviderError
        It doesn't answer, or not as a provider does.
    """
    url = address_of(issuer)
    try:
        found = Provider.model_validate((await fetch(url)).mapping())
    except DeclinedError as error:
        raise UnreachableError(f"The login provider can't be reached at {url}: {error}") from None
    except ValidationError as error:
        [first, *_] = error.errors()
        where = ".".join(map(str, first["loc"]))
        raise ProviderError(
            f"{url} is not the description of a login provider: {where}: {first['msg']}."
        ) from None
    if found.issuer.rstrip("/") != issuer.rstrip("/"):
        raise ProviderError(
            f"{url} describes another provider, {found.issuer}: login.issuer must be that, exactly."
        )
    return found


def address_of(issuer: str) -> str:
    """Return where a provider describes itself."""
    return f"{issuer.rstrip('/')}{WELL_KNOWN}"
