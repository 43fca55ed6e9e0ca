"""What an OpenID Connect provider publishes of itself."""

import httpx
from pydantic import BaseModel, ValidationError


class ProviderError(Exception):
    """The provider can't be used; the text is for the administrator."""


class Provider(BaseModel):
    """The provider's addresses, as OpenID Connect Discovery 1.0 names them."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str


def discover(issuer: str) -> Provider:
    """Return the addresses that the provider publishes.

    Raises
    ------
    ProviderError
        It doesn't answer, or not as a provider does.
    """
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        answer = httpx.get(url, timeout=20, follow_redirects=True)
        answer.raise_for_status()
        found = Provider.model_validate_json(answer.content)
    except httpx.HTTPError as error:
        raise ProviderError(f"The login provider can't be reached at {url}: {error}") from None
    except ValidationError:
        raise ProviderError(f"{url} is not the description of a login provider.") from None
    if found.issuer.rstrip("/") != issuer.rstrip("/"):
        raise ProviderError(
            f"{url} describes another provider, {found.issuer}: login.issuer must be that, exactly."
        )
    return found
