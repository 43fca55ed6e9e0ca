"""What every answer of the hub tells browsers: a page, a file, an error or a redirect."""

from typing import Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import OutputTransform

from .serving import Serving

NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""For what isn't a page: a picture, a style sheet, JSON, a redirect."""
INLINE = (
    "default-src 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "img-src 'self' data:",
    "object-src 'none'",
    "script-src 'self' 'unsafe-inline'",
    "style-src 'self' 'unsafe-inline'",
)
"""For JupyterHub's own pages, whose scripts stand in them."""
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
YEAR_S = 365 * 24 * 3600


def policy_of(serving: Serving) -> type[OutputTransform]:
    """Return what puts a site's headers on an answer as it leaves."""
    always = {**ALWAYS, **encryption(serving)}
    if serving.user_subdomains:
        always["Cross-Origin-Resource-Policy"] = "same-site"

    class Policy(OutputTransform):
        """Adds what an answer lacks; what it says itself stays."""

        def __init__(self, request: HTTPServerRequest) -> None:
            """Need nothing of the request."""

        def transform_first_chunk(
            self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
        ) -> tuple[int, HTTPHeaders, bytes]:
            """Add them."""
            for name, value in always.items():
                headers.setdefault(name, value)
            headers["Content-Security-Policy"] = complete(headers)
            return status_code, headers, chunk

    return Policy


def complete(headers: Any) -> str:
    """Return an answer's content security policy, with the least of what it must say."""
    policy = str(headers.get("Content-Security-Policy", ""))
    if "default-src" in policy:
        return policy
    if not headers.get("Content-Type", "").startswith("text/html"):
        return NOTHING
    said = [part.strip() for part in policy.split(";") if part.strip().startswith("report-uri")]
    return "; ".join([*INLINE, *said])


def encryption(serving: Serving) -> dict[str, str]:
    """Return what keeps browsers from ever talking to the portal without TLS.

    It holds for all ports of a host, so it's said only where the portal has the usual one.
    """
    url = urlsplit(serving.url)
    if url.scheme != "https" or url.port not in (None, 443):
        return {}
    return {"Strict-Transport-Security": f"max-age={YEAR_S}"}
