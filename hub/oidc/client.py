"""A provider as the portal knows it: asked now and then, and not just after a fault."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

from ..refusal import Refused
from .discovery import Provider, discover
from .fetching import DeclinedError, Fetcher, ProviderError, UnreachableError
from .tokens import Keys, claims_of

Found = TypeVar("Found")
FRESH_S = 3600
"""For how long what the provider publishes is taken as it was."""
ANSWERS_S = 10
"""For how long a provider that has answered is taken to be there, before people are sent to it."""
PAUSE_S = 2
"""For how long it isn't asked after a fault, so that a provider that hangs delays few."""


class Client:
    """The portal's side of one provider.

    Parameters
    ----------
    issuer : str
        Which provider.
    client_id : str
        The portal's name there.
    timeout_s : float
        How long an answer may take.
    """

    def __init__(self, issuer: str, client_id: str, timeout_s: float) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._fetch = Fetcher(timeout_s)
        self._keys = Keys(self._fetch)
        self._found: Provider | None = None
        self._found_at = self._asked = float("-inf")
        self._one_at_a_time = asyncio.Lock()
        self.trouble: ProviderError | None = None
        """Why the provider can't be used, None where it could the last time."""

    async def provider(self) -> Provider:
        """Return what the provider publishes.

        Raises
        ------
        ProviderError
            It can't be used now.
        """
        async with self._one_at_a_time:
            now = time.monotonic()
            if self.trouble and now - self._asked < PAUSE_S:
                raise UnreachableError(str(self.trouble))
            silent = self.trouble or now - self._asked > ANSWERS_S
            if self._found is None or silent or now - self._found_at > FRESH_S:
                self._found = await self._noting(discover(self._issuer, self._fetch))
                self._found_at = time.monotonic()
            return self._found

    async def ask(
        self, url: str, method: str, headers: dict[str, str], body: bytes | None
    ) -> dict[str, Any]:
        """Return the provider's answer to one question, a JSON object.

        Raises
        ------
        ProviderError
            There is none.
        """

        async def mapping() -> dict[str, Any]:
            return (await self._fetch(url, method, headers, body)).mapping()

        return await self._noting(mapping())

    async def claims(self, id_token: Any) -> dict[str, Any]:
        """Return what an ID token says, if the provider has signed it for this portal.

        Raises
        ------
        ProviderError
            The provider can't be used now.
        Refused
            The token isn't as it should be.
        """
        if not isinstance(id_token, str):
            raise Refused(
                "The provider doesn't say who you are: it sends no ID token. Administrators have "
                "to look at how the portal is registered there.",
                reason="no ID token",
                status=502,
            )
        provider = await self.provider()
        asking = claims_of(
            id_token,
            self._keys,
            jwks_uri=provider.jwks_uri,
            issuer=provider.issuer,
            client_id=self._client_id,
        )
        return await self._noting(asking)

    async def _noting(self, asking: Awaitable[Found]) -> Found:
        """Return what is awaited, and remember whether the provider could be used."""
        trouble: ProviderError | None = None
        try:
            return await asking
        except DeclinedError:
            raise
        except ProviderError as error:
            trouble = error
            raise
        finally:
            self.trouble = trouble
            self._asked = time.monotonic()
