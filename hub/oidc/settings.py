"""The door of a site profile, as settings of the authenticator: pure."""

from typing import Any

from ..deployment import Deployment
from ..logins import Oidc


def settings_of(login: Oidc, deployment: Deployment) -> dict[str, Any]:
    """Return the authenticator's settings, without the secret."""
    organisations = login.identity_providers
    return {
        "allow_all": not (login.allowed_users or login.allowed_groups),
        "allowed_users": set(login.allowed_users),
        "admin_users": set(login.admins),
        # First, since the two after it are refused without.
        "manage_groups": True,
        "allowed_groups": set(login.allowed_groups),
        "admin_groups": set(login.admin_groups),
        "auth_refresh_age": round(login.refresh_min * 60),
        "client_id": login.client_id,
        "enable_auth_state": True,
        "grace_s": login.grace_h * 3600,
        "groups_claim": login.groups_claim,
        "issuer": str(login.issuer),
        "leeway_s": login.clock_leeway_s,
        "login_service": login.name,
        "names_are_accounts": deployment.site.backend.names_are_accounts,
        "names_file": str(deployment.names.path),
        "oauth_callback_url": redirect_address(deployment.site.serving.url),
        "organisation_claim": organisations.claim if organisations else "",
        "allowed_organisations": set(organisations.allowed) if organisations else set(),
        "scope": login.scopes,
        "timeout_s": login.timeout_s,
        "username_claim": login.username_claim,
    }


def redirect_address(portal: str) -> str:
    """Return where the provider sends people back to, which it must know beforehand."""
    return f"{portal}/hub/oauth_callback"


def farewell_address(portal: str) -> str:
    """Return where the provider sends people after a log-out there."""
    return f"{portal}/hub/logged-out"
