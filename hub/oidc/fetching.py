"""The one way to a provider: encrypted, and with limits on time, size and redirects."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from ..logins import is_loopback

LIMIT_BYTES = 1_000_000


class ProviderError(Exception):
    """The provider can't be used; the text is for the administrator."""


class UnreachableError(ProviderError):
    """The provider doesn't answer, or not as a provider does."""


class DeclinedError(ProviderError):
    """The provider has understood, and says no.

    Parameters
    ----------
    url : str
        Who says so.
    status : int
        The HTTP status.
    error : str
        OAuth 2.0's word for it, ``invalid_grant`` for example; empty where there is none.
    """

    def __init__(self, url: str, status: int, error: str) -> None:
        super().__init__(f"{url} answers with status {status}{f' ({error})' if error else ''}.")
        self.status = status
        self.error = error


@dataclass(frozen=True)
class Answer:
    """What a provider said.

    Parameters
    ----------
    url : str
        Where.
    status : int
        The HTTP status.
    headers : mapping
        The HTTP headers; case doesn't matter.
    body : bytes
        The rest.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def mapping(self) -> dict[str, Any]:
        """Return the JSON object that it is.

        Raises
        ------
        DeclinedError
            It says no.
        UnreachableError
            It is an error of the provider's own, a redirect, or something else.
        """
        try:
            found = json.loads(self.body)
        except ValueError:
            found = None
        if 400 <= self.status < 500:
            error = found.get("error") if isinstance(found, dict) else None
            raise DeclinedError(self.url, self.status, error if isinstance(error, str) else "")
        if self.status != 200:
            raise UnreachableError(f"{self.url} answers with status {self.status}.")
        if not isinstance(found, dict):
            raise UnreachableError(f"{self.url} doesn't answer as a login provider does.")
        return found

    @property
    def date(self) -> datetime | None:
        """The time of the provider's clock, None where it doesn't tell."""
        try:
            return parsedate_to_datetime(self.headers.get("date", ""))
        except ValueError:
            return None


class Fetcher:
    """Asks a provider, trusting the authorities that this machine trusts.

    Parameters
    ----------
    timeout_s : float
        How long one question may take as a whole.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._trusted: ssl.SSLContext | None = None

    async def __call__(
        self,
        url: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Return the answer to one question; redirects aren't followed.

        Raises
        ------
        UnreachableError
            There is none, it comes too late, or it is too long.
        """
        refuse_open(url)
        self._trusted = self._trusted or ssl.create_default_context()
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                httpx.AsyncClient(verify=self._trusted, timeout=self._timeout_s) as client,
                # What isn't compressed can't grow when it is read.
                client.stream(
                    method,
                    url,
                    headers={"Accept": "application/json", **(headers or {})}
                    | {"Accept-Encoding": "identity"},
                    content=body,
                ) as answer,
            ):
                read = b""
                async for part in answer.aiter_raw():
                    read += part
                    if len(read) > LIMIT_BYTES:
                        raise UnreachableError(f"{url} answers with more than {LIMIT_BYTES} bytes.")
                return Answer(url, answer.status_code, answer.headers, read)
        except TimeoutError:
            raise UnreachableError(
                f"The login provider can't be reached at {url}: no answer in {self._timeout_s:g} s."
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = str(error) or type(error).__name__
            raise UnreachableError(f"The login provider can't be reached at {url}: {why}") from None


def refuse_open(url: str) -> None:
    """Let nothing secret be sent where everybody on the way can read it.

    Raises
    ------
    UnreachableError
        The address is not encrypted, and not this machine's own.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise UnreachableError(
            f"{url} isn't the address of a login provider: it must begin with https://."
        )
