"""What of a log-in at a provider can be tried without a person."""

from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import urlencode

from ..logins import Oidc
from .discovery import Provider, address_of, discover
from .fetching import DeclinedError, Fetcher, ProviderError
from .settings import farewell_address, redirect_address
from .tokens import Keys

NO_CODE = "beamhub-check-no-code"
VERIFIER = NO_CODE * 3


@dataclass
class Report:
    """What was found.

    Parameters
    ----------
    findings : list of str
        What has to be mended.
    notes : list of str
        What was seen, and what only a log-in can tell.
    """

    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def examine(login: Oidc, portal: str, secret: str) -> Report:
    """Return how the provider fits the profile.

    Parameters
    ----------
    login : Oidc
        What the profile says.
    portal : str
        The portal's address, as people type it.
    secret : str
        What the portal and the provider share.
    """
    fetch = Fetcher(login.timeout_s)
    report = Report()
    try:
        provider = await discover(str(login.issuer), fetch)
        report.notes.append(f"the provider answers as {provider.issuer}")
        await Keys(fetch).ask(provider.jwks_uri)
        report.findings += await clock_findings(login, fetch)
        report.findings += announced_findings(login, provider)
        report.findings += await client_findings(login, provider, portal, secret, fetch)
        report.findings += await redirect_findings(login, provider, portal, fetch)
    except ProviderError as error:
        report.findings.append(f"login: {error}")
    else:
        report.notes += notes_of(login, provider, portal)
    return report


async def clock_findings(login: Oidc, fetch: Fetcher) -> list[str]:
    """Return by how much the clocks differ, where it's too much."""
    date = (await fetch(address_of(str(login.issuer)))).date
    off = (date - datetime.now(UTC)).total_seconds() if date else 0
    if abs(off) <= login.clock_leeway_s:
        return []
    way = "ahead" if off > 0 else "behind"
    return [
        f"login: the provider's clock is {abs(off) / 60:.0f} min {way}, so no log-in would count: "
        "set the wrong one"
    ]


def announced_findings(login: Oidc, provider: Provider) -> list[str]:
    """Return what the provider announces otherwise than the profile needs it."""
    findings = []
    if provider.scopes_supported is not None:
        findings += [
            f"login.scopes: the provider doesn't announce '{scope}'; it has "
            f"{', '.join(provider.scopes_supported)}"
            for scope in login.scopes
            if scope not in provider.scopes_supported
        ]
    if "code" not in provider.response_types_supported:
        findings.append("login: the provider doesn't offer the authorization code flow")
    if "authorization_code" not in provider.grant_types_supported:
        findings.append("login: the provider doesn't announce the grant 'authorization_code'")
    ways = provider.token_endpoint_auth_methods_supported
    if not {"client_secret_post", "client_secret_basic"} & set(ways):
        findings.append(
            f"login: the provider accepts no client secret, only {', '.join(ways)}, which a portal "
            "can't"
        )
    return findings


async def client_findings(
    login: Oidc, provider: Provider, portal: str, secret: str, fetch: Fetcher
) -> list[str]:
    """Return whether the provider knows the client and its secret: a code that isn't one tells."""
    form = {
        "grant_type": "authorization_code",
        "code": NO_CODE,
        "code_verifier": VERIFIER,
        "redirect_uri": redirect_address(portal),
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if provider.takes_secret_in_body:
        form |= {"client_id": login.client_id, "client_secret": secret}
    else:
        pair = f"{login.client_id}:{secret}".encode()
        headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
    answer = await fetch(provider.token_endpoint, "POST", headers, urlencode(form).encode())
    try:
        answer.mapping()
    except DeclinedError as error:
        if error.error in ("invalid_client", "unauthorized_client") or error.status == 401:
            return [
                f"login: the provider doesn't accept the client '{login.client_id}' with the "
                f"secret {login.client_secret}"
            ]
    return []


async def redirect_findings(
    login: Oidc, provider: Provider, portal: str, fetch: Fetcher
) -> list[str]:
    """Return whether the provider would send people back: it says so of nobody, too."""
    address = redirect_address(portal)
    query = {
        "response_type": "code",
        "client_id": login.client_id,
        "redirect_uri": address,
        "scope": "openid",
        "state": NO_CODE,
        "nonce": NO_CODE,
        "prompt": "none",
        "code_challenge": urlsafe_b64encode(sha256(VERIFIER.encode()).digest())
        .decode()
        .rstrip("="),
        "code_challenge_method": "S256",
    }
    mark = "&" if "?" in provider.authorization_endpoint else "?"
    answer = await fetch(f"{provider.authorization_endpoint}{mark}{urlencode(query)}")
    if 400 <= answer.status < 500:
        return [
            f"login: the provider refuses to send people back to the portal: register {address} "
            f"there for the client '{login.client_id}'"
        ]
    return []


def notes_of(login: Oidc, provider: Provider, portal: str) -> list[str]:
    """Return what an administrator should know, and what only a log-in can tell."""
    notes = [
        f"redirect address to register at the provider: {redirect_address(portal)}",
    ]
    if provider.end_session_endpoint:
        notes.append(f"address after a log-out to register there: {farewell_address(portal)}")
    else:
        notes.append("the provider has no log-out of its own: people stay logged in there")
    if "S256" not in provider.code_challenge_methods_supported:
        notes.append("the provider doesn't announce PKCE; it is used all the same")
    known = provider.claims_supported
    asked = [login.username_claim]
    asked += [login.groups_claim] if login.allowed_groups or login.admin_groups else []
    asked += [login.identity_providers.claim] if login.identity_providers else []
    for claim in asked:
        if known is not None and not {claim, claim.partition(".")[0]} & set(known):
            notes.append(f"the provider doesn't announce the claim '{claim}': see at a log-in")
    if not (login.allowed_users or login.allowed_groups or login.identity_providers):
        notes.append("everybody whom the provider knows is let in: no 'allowed_…' is set")
    notes.append("not tried: a log-in, which takes a person, and the claims that come with it")
    return notes
