"""Log-in at an OpenID Connect provider."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from oauthenticator.generic import GenericOAuthenticator
from tornado.web import HTTPError
from traitlets import Bool, Float, Instance, Set, Unicode, default

from spawners.records import RecordError

from ..names import Names, Person
from ..refusal import Refused
from ..terminal import terminal
from .claims import check_identity_provider, groups_of, name_of
from .client import Client
from .discovery import Provider
from .fetching import DeclinedError, ProviderError
from .handlers import Callback, LoggedOut, LogIn, LogOut, nonce_of
from .tokens import check_nonce, check_times

TOLD = "told_at"
CLAIMS = "id_claims"


class OidcAuthenticator(GenericOAuthenticator):
    """The library's authenticator, with discovery, checked ID tokens, and names that stay.

    What the provider says is asked for again every `auth_refresh_age` seconds and before each
    start. Its tokens are kept encrypted with the user, since that takes one of them.
    """

    login_handler = LogIn
    callback_handler = Callback
    logout_handler = LogOut

    issuer = Unicode(config=True, help="The provider, by its own address")
    timeout_s = Float(10, config=True, help="How long the provider may take to answer")
    grace_s = Float(0, config=True, help="How long its last word counts while it doesn't answer")
    leeway_s = Float(120, config=True, help="By how much its clock may differ")
    groups_claim = Unicode("groups", config=True, help="The claim that lists groups")
    organisation_claim = Unicode(config=True, help="The claim that names a person's organisation")
    allowed_organisations = Set(Unicode(), config=True, help="Its values; empty allows all")
    names_are_accounts = Bool(config=True, help="Whether names are those of accounts elsewhere")
    names_file = Unicode(config=True, help="The record of who has which name")

    client: Client = Instance(Client)  # type: ignore[assignment]
    names: Names = Instance(Names)  # type: ignore[assignment]

    @default("client")
    def _client(self) -> Client:
        return Client(self.issuer, self.client_id, self.timeout_s)

    @default("names")
    def _names(self) -> Names:
        return Names(Path(self.names_file))

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._refreshing: dict[str, asyncio.Task[dict[str, Any] | bool]] = {}

    @property
    def trouble(self) -> bool:
        """Whether the provider couldn't be used the last time."""
        return self.client.trouble is not None

    async def first_look(self) -> None:
        """Say where the portal was started if nobody can log in yet."""
        try:
            await self.ready()
        except ProviderError as error:
            terminal.say(
                f"{error} Nobody can log in until that is mended; the portal waits for it."
            )

    async def ready(self) -> Provider:
        """Take over what the provider publishes.

        Raises
        ------
        ProviderError
            It can't be used now.
        """
        found = await self.client.provider()
        self.authorize_url = found.authorization_endpoint
        self.token_url = found.token_endpoint
        self.userdata_url = found.userinfo_endpoint or ""
        self.basic_auth = not found.takes_secret_in_body
        return found

    def get_handlers(self, app: Any) -> list[tuple[str, type]]:
        """Return the library's addresses, and the page after a log-out."""
        return [*super().get_handlers(app), (r"/logged-out", LoggedOut)]

    async def httpfetch(self, url: str, label: str = "", **request: Any) -> dict[str, Any]:
        """Ask the provider within our limits, through the machine's proxy.

        Raises
        ------
        ProviderError
            It says no, or nothing.
        """
        del label
        return await self.client.ask(
            url, request.get("method", "GET"), request.get("headers", {}), request.get("body")
        )

    async def get_token_info(self, handler: Any, params: dict[str, Any]) -> dict[str, Any]:
        """Return the provider's tokens, with what its ID token says once that has been checked."""
        await self.ready()
        try:
            tokens: dict[str, Any] = await super().get_token_info(handler, params)
        except DeclinedError as error:
            raise declined(error) from None
        except HTTPError:
            # The library puts the whole answer into its message, which may hold tokens.
            raise Refused(
                "The provider gave the portal nothing to know you by. Log in again; if it stays "
                "so, administrators have to look at it.",
                reason="no access token",
                status=502,
            ) from None
        if tokens.get("id_token") or "code_verifier" in params:
            claims = await self.client.claims(tokens.get("id_token"))
            check_times(claims, self.leeway_s)
            if "code_verifier" in params:
                check_nonce(claims, nonce_of(params["code_verifier"]))
            tokens[CLAIMS] = claims
        return tokens

    async def token_to_user(self, token_info: dict[str, Any]) -> dict[str, Any]:
        """Return what the provider says of a person, in its ID token and beside it."""
        claims: dict[str, Any] = token_info[CLAIMS]
        if not self.userdata_url:
            return claims
        told = await super().token_to_user(token_info)
        if told.get("sub") != claims["sub"]:
            raise Refused(
                "The provider says two different things of who you are, so that nobody is logged "
                "in. Its administrators have to look at it.",
                reason="userinfo is about another person",
                status=502,
            )
        return {**claims, **told, "iss": claims["iss"]}

    def user_info_to_username(self, user_info: dict[str, Any]) -> str:
        """Return the name that a person has here, or the one that they ask for at first."""
        known = self.names.of(Person(user_info["iss"], user_info["sub"]))
        if known is None:
            return name_of(user_info, self.username_claim)
        if self.names_are_accounts and name_of(user_info, self.username_claim) != known:
            raise Refused(
                f"You are '{known}' here, and the provider now calls you otherwise. Since names "
                "are those of accounts, an administrator has to say which one is yours.",
                reason="renamed",
                status=403,
            )
        return known

    def normalize_username(self, username: str) -> str:
        """Return the name, which `hub.oidc.claims` has made."""
        return username

    def build_auth_state_dict(
        self, token_info: dict[str, Any], user_info: dict[str, Any]
    ) -> dict[str, Any]:
        """Return what is kept with the user: tokens, and those claims that decide something."""
        deciding = (self.username_claim, self.groups_claim, self.organisation_claim)
        kept = {"iss", "sub", *deciding, *(claim.partition(".")[0] for claim in deciding)}
        return {
            "access_token": token_info["access_token"],
            "token_type": token_info.get("token_type", "Bearer"),
            "refresh_token": token_info.get("refresh_token"),
            "id_token": token_info.get("id_token"),
            TOLD: time.time(),
            self.user_auth_state_key: {k: v for k, v in user_info.items() if k in kept},
        }

    async def get_user_groups(self, auth_state: dict[str, Any]) -> set[str]:
        """Return the groups that the provider tells."""
        return groups_of(auth_state[self.user_auth_state_key], self.groups_claim)

    async def update_auth_model(self, auth_model: dict[str, Any]) -> dict[str, Any]:
        """Refuse those of other organisations, whatever else lets them in."""
        claims = auth_model["auth_state"][self.user_auth_state_key]
        check_identity_provider(claims, self.organisation_claim, self.allowed_organisations)
        return auth_model

    async def check_allowed(self, username: str, auth_model: dict[str, Any] | None) -> bool:
        """Return True, or say why not."""
        if not await super().check_allowed(username, auth_model):
            raise Refused(
                f"The provider knows you, as '{username}', but you are not among those who may use "
                "this portal.",
                reason="not allowed",
                status=403,
            )
        return True

    async def run_post_auth_hook(self, handler: Any, auth_model: dict[str, Any]) -> dict[str, Any]:
        """Give the name to the person, for good."""
        model: dict[str, Any] = await super().run_post_auth_hook(handler, auth_model)
        claims = model["auth_state"][self.user_auth_state_key]
        person = Person(claims["iss"], claims["sub"])
        if not await asyncio.to_thread(self.names.give, model["name"], person):
            self.log.warning("Another person comes as %r: %s", model["name"], person)
            raise Refused(
                f"The name '{model['name']}' belongs to somebody else here, who logged in with it "
                "before you and has files under it. An administrator can say whose it is.",
                reason="name taken",
                status=403,
            )
        return model

    async def refresh_user(self, user: Any, handler: Any = None, **_: Any) -> dict[str, Any] | bool:
        """Ask the provider again about a person who is logged in.

        Returns
        -------
        dict or bool
            What is true of them now; True where the provider can't tell and its last word still
            counts; False where they have to log in again.
        """
        task = self._refreshing.get(user.name)
        if task is None:
            # Many requests come at once, and most providers let a refresh token be used once.
            task = asyncio.create_task(self._refreshed(user, handler))
            self._refreshing[user.name] = task
            task.add_done_callback(lambda _: self._refreshing.pop(user.name, None))
        found: dict[str, Any] | bool = await asyncio.shield(task)
        return dict(found) if isinstance(found, dict) else found

    async def _refreshed(self, user: Any, handler: Any) -> dict[str, Any] | bool:
        state = await user.get_auth_state()
        if not state or self.user_auth_state_key not in state:
            return False
        try:
            model = await self._model_again(state, handler)
            await self.check_allowed(user.name, model)
            if model["name"] != user.name:
                raise Refused("", reason="the name belongs to another person")
        except (Refused, DeclinedError) as error:
            why = error.reason if isinstance(error, Refused) else error
            self.log.info("%s has to log in again: %s", user.name, why)
            await user.save_auth_state(None)
            return False
        except (ProviderError, RecordError) as error:
            lasts = bool(time.time() - state.get(TOLD, 0) < self.grace_s)
            what = "stays logged in" if lasts else "has to log in again"
            self.log.warning("%s %s: %s", user.name, what, error)
            return lasts
        # Before anybody else reads it: the token in it is the only one that still works.
        await user.save_auth_state(model["auth_state"])
        return model

    async def _model_again(self, state: Mapping[str, Any], handler: Any) -> dict[str, Any]:
        """Return what `authenticate` would, without the person."""
        await self.ready()
        before = state[self.user_auth_state_key]
        tokens = {**state, CLAIMS: before}
        if token := state.get("refresh_token"):
            given = await self.get_token_info(
                handler, self.build_refresh_token_request_params(token)
            )
            tokens |= {key: value for key, value in given.items() if value}
        if tokens[CLAIMS]["sub"] != before["sub"]:
            raise Refused("", reason="the refreshed token is about another person")
        return cast("dict[str, Any]", await self._token_to_auth_model(tokens))


def declined(error: DeclinedError) -> Refused:
    """Return what a person reads where the provider doesn't give the portal its tokens."""
    if error.error in ("invalid_client", "unauthorized_client") or error.status == 401:
        text = (
            "The provider doesn't accept this portal: the secret that they share isn't right. That "
            "isn't your fault, and only administrators can mend it."
        )
    elif error.error == "invalid_grant":
        text = "That log-in was used before, or it took too long. Log in again."
    else:
        text = (
            "The provider doesn't tell the portal who you are. Log in again; if that doesn't help, "
            "administrators have to look at it."
        )
    return Refused(text, reason=f"tokens: {error}", status=502)
