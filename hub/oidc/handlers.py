"""The pages of a log-in at a provider: there, back, and out."""

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

from jupyterhub.utils import url_path_join
from oauthenticator.oauth2 import (
    OAuthCallbackHandler,
    OAuthLoginHandler,
    OAuthLogoutHandler,
    _deserialize_state,
)
from tornado.httputil import url_concat
from tornado.web import HTTPError

from spawners.records import RecordError

from ..pages.base import Page, StrictPolicy
from ..refusal import Refused, quoted
from .fetching import ProviderError

AGAIN = "again"
"""Asks the provider to ask for the account again: after a log-out somebody else may be there."""
SAID = {
    "access_denied": "The log-in was cancelled at the provider, or it doesn't let you in.",
    "login_required": "The provider wants you to log in there first.",
    "consent_required": "The provider needs your consent to tell this portal who you are.",
    "temporarily_unavailable": "The provider is too busy. Log in again in a few minutes.",
    "server_error": "The provider has a fault of its own. Log in again in a few minutes.",
    "invalid_scope": "The portal asks the provider for more than it gives. Administrators have to "
    "look at 'login.scopes' of the site profile.",
}
"""What providers' words for errors mean (OAuth 2.0, 4.1.2.1; OpenID Connect Core, 3.1.2.6)."""


def nonce_of(verifier: str) -> str:
    """Return the nonce of the log-in that has a PKCE verifier, which nobody else knows."""
    digest = sha256(f"nonce of {verifier}".encode()).digest()
    return urlsafe_b64encode(digest).decode("ascii").rstrip("=")


class Telling(StrictPolicy):
    """A step of a log-in that says in words why it can't go on."""

    authenticator: Any
    hub: Any
    log: Any

    async def tell(self, problem: Exception, next_url: str = "") -> None:
        """Answer with a page that says what is wrong, and has a button to try again."""
        if isinstance(problem, Refused):
            status, message = problem.status, problem.message
            self.log.warning("Log-in refused: %s", problem.reason)
        else:
            status = 503
            message = (
                "The portal can't find out who you are: the provider doesn't answer as it should. "
                "Servers that run go on. Log in again in a few minutes."
            )
            self.log.error("Log-in failed: %s", problem)
        query = {"next": next_url} if next_url else {}
        if status == 403:
            # The provider would come back with the same account, and never ask for another.
            query[AGAIN] = "1"
        again = url_concat(url_path_join(self.hub.base_url, "oauth_login"), query)
        self.set_status(status)  # type: ignore[attr-defined]
        page = await self.render_template(  # type: ignore[attr-defined]
            "login_refused.html", message=message, again=again
        )
        self.finish(page)  # type: ignore[attr-defined]


class LogIn(Telling, OAuthLoginHandler):
    """The way to the provider."""

    async def get(self) -> None:
        """Send the browser to the provider, if it is there."""
        try:
            await self.authenticator.ready()
        except ProviderError as error:
            await self.tell(error, self._get_next_url() or "")
            return
        super().get()

    def _generate_pkce_params(self) -> tuple[str, str]:
        verifier, challenge = super()._generate_pkce_params()
        self._nonce = nonce_of(verifier)
        return verifier, challenge

    def authorize_redirect(self, *, extra_params: dict[str, str], **names: Any) -> None:
        """Add what ties the provider's answer to this log-in."""
        extra_params["nonce"] = self._nonce
        if self.get_argument(AGAIN, ""):
            extra_params["prompt"] = "login"
        super().authorize_redirect(extra_params=extra_params, **names)


class Callback(Telling, OAuthCallbackHandler):
    """The way back from the provider."""

    async def get(self) -> None:
        """Log the person in, or say why not."""
        try:
            await super().get()
        except (Refused, ProviderError, RecordError) as error:
            state = self.get_state_cookie()
            await self.tell(error, _deserialize_state(state).get("next_url") or "" if state else "")

    def check_arguments(self) -> None:
        """Accept what belongs to a log-in that this browser began, before a word of it is read."""
        try:
            self.check_state()
        except HTTPError as error:
            raise Refused(
                "That page belongs to a log-in that has ended or was begun anew, maybe in another "
                "tab. Log in again.",
                reason=f"state: {error.log_message}",
            ) from None
        self.check_error()
        if self.get_argument("iss", self.authenticator.issuer).rstrip(
            "/"
        ) != self.authenticator.issuer.rstrip("/"):
            raise Refused(
                "That answer comes from another provider. Log in again.", reason="iss of the answer"
            )
        if not self.get_argument("code", ""):
            raise Refused(
                "The provider sent you back without an answer. Log in again.", reason="no code"
            )

    def check_error(self) -> None:
        """Say what the provider's refusal means; its own text is for the log."""
        if error := self.get_argument("error", ""):
            self.log.warning(
                "The provider says %s: %s",
                quoted(error),
                quoted(self.get_argument("error_description", "")),
            )
            raise Refused(
                SAID.get(
                    error,
                    "The provider doesn't accept how the portal asks. Administrators have to look "
                    "at how it is registered there.",
                ),
                reason=f"the provider says {quoted(error)}",
                status=403 if error == "access_denied" else 400,
            )


class LogOut(OAuthLogoutHandler):
    """The way out, here and at the provider."""

    _hint: str | None = None

    async def handle_logout(self) -> None:
        """Forget the provider's tokens, but for the one that says there who leaves."""
        await super().handle_logout()
        if self.current_user:
            state = await self.current_user.get_auth_state() or {}
            self._hint = state.get("id_token")
            await self.current_user.save_auth_state(None)

    async def render_logout_page(self) -> None:
        """Go to the provider to log out there, or stay where it has no place for that."""
        back = url_path_join(self.hub.base_url, "logged-out")
        try:
            end = (await self.authenticator.ready()).end_session_endpoint
        except ProviderError:
            end = None
        if not end or not self._hint:
            self.redirect(back)
            return
        portal = self.authenticator.oauth_callback_url.removesuffix("/oauth_callback")
        query = {
            "id_token_hint": self._hint,
            "client_id": self.authenticator.client_id,
            "post_logout_redirect_uri": f"{portal}/logged-out",
        }
        self.redirect(url_concat(end, query))


class LoggedOut(Page):
    """What is true after a log-out, and a log-in that doesn't happen by itself."""

    async def get(self) -> None:
        """Show it."""
        try:
            ends_there = bool((await self.authenticator.ready()).end_session_endpoint)
        except ProviderError:
            ends_there = False
        again = url_concat(url_path_join(self.hub.base_url, "oauth_login"), {AGAIN: "1"})
        await self.show("logged_out.html", ends_there=ends_there, again=again)
