"""ID tokens: whether one was signed by the provider, for this portal, just now, for this log-in."""

import time
from collections.abc import Mapping
from typing import Any

import jwt

from ..refusal import Refused
from .fetching import Fetcher, ProviderError

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""Signatures that only the provider can make: none that is made with the client's secret."""
NEEDED = ("iss", "aud", "exp", "iat", "sub")


class Keys:
    """The keys with which a provider signs, asked for again when it uses one that isn't known.

    Parameters
    ----------
    fetch : Fetcher
        The way to the provider.
    """

    def __init__(self, fetch: Fetcher) -> None:
        self._fetch = fetch
        self._known: list[jwt.PyJWK] = []

    def of(self, token: str) -> list[jwt.PyJWK]:
        """Return the known keys that may have signed a token."""
        wanted = jwt.get_unverified_header(token).get("kid")
        return [key for key in self._known if wanted in (None, key.key_id)]

    async def ask(self, url: str) -> None:
        """Take over what the provider publishes now.

        Raises
        ------
        ProviderError
            It doesn't answer, or there is no key that can be used.
        """
        published = (await self._fetch(url)).mapping()
        try:
            keys = jwt.PyJWKSet.from_dict(published).keys
        except (jwt.PyJWTError, AttributeError, TypeError) as error:
            raise ProviderError(f"{url} has no keys that can be used: {error}") from None
        self._known = [key for key in keys if key.public_key_use != "enc"]


async def claims_of(
    token: str, keys: Keys, *, jwks_uri: str, issuer: str, client_id: str
) -> dict[str, Any]:
    """Return what an ID token says, if the provider has signed it for this portal.

    Raises
    ------
    Refused
        It isn't the provider's, or not for this portal; the log has the details.
    ProviderError
        The provider's keys can't be had.
    """
    problem: Exception = jwt.InvalidSignatureError("it is signed with a key that isn't published")
    for again in (False, True):
        if again:
            await keys.ask(jwks_uri)
        try:
            for key in keys.of(token):
                return verified(token, key, issuer, client_id)
        except (jwt.InvalidSignatureError, jwt.InvalidKeyError) as error:
            problem = error
        except jwt.PyJWTError as error:
            raise not_for_us(error) from None
    raise not_for_us(problem)


def verified(token: str, key: jwt.PyJWK, issuer: str, client_id: str) -> dict[str, Any]:
    """Return what a token says, its times left aside.

    Raises
    ------
    jwt.PyJWTError
        Signature, issuer or audience is wrong, or something is missing.
    """
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=ALGORITHMS,
        issuer=issuer,
        audience=client_id,
        options={
            "require": list(NEEDED),
            # In words, below.
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
        },
    )
    if claims.get("azp", client_id) != client_id:
        raise jwt.InvalidAudienceError("it was given to another client")
    return claims


def not_for_us(problem: Exception) -> Refused:
    """Return what a person reads where a token is wrong."""
    return Refused(
        "The provider's answer isn't signed as it should be, so the portal can't know who you are. "
        "Its administrators have to look at it.",
        reason=f"token: {problem}",
        status=502,
    )


def check_times(claims: Mapping[str, Any], leeway_s: float, clock: float | None = None) -> None:
    """Accept a token that was made a moment ago.

    Raises
    ------
    Refused
        By this machine's clock it was made at another time, or counts no more, or not yet.
    """
    now = time.time() if clock is None else clock
    try:
        made, ends = float(claims["iat"]), float(claims["exp"])
        begins = float(claims.get("nbf", made))
    except (TypeError, ValueError) as error:
        raise not_for_us(error) from None
    off = made - now
    if abs(off) > leeway_s or ends < now - leeway_s or begins > now + leeway_s:
        minutes = max(1, round(abs(off) / 60))
        raise Refused(
            f"The clocks of this portal and of the provider are {minutes} min apart, so that no "
            "log-in can count. Administrators have to set the wrong one.",
            reason=f"token: clocks apart by {off:.0f} s",
            status=502,
        )


def check_nonce(claims: Mapping[str, Any], nonce: str) -> None:
    """Accept a token that answers this very log-in.

    Raises
    ------
    Refused
        It answers another.
    """
    if claims.get("nonce") != nonce:
        raise not_for_us(ValueError("it answers another log-in (nonce)"))
