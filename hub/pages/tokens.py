"""Tokens that users make: as many, and with as long a note, as somebody can need.

They are in the portal's database, on a disk that no user's quota counts.
"""

from jupyterhub import orm
from jupyterhub.apihandlers.users import UserTokenListAPIHandler
from tornado import web

MOST_TOKENS = 100
LONGEST_NOTE = 200
OWN = "jupyterhub"
"""Which tokens are those that somebody has made, and not a server's or a session's."""


class FewTokens(UserTokenListAPIHandler):
    """JupyterHub's call by which tokens are made, with bounds."""

    async def post(self, user_name: str) -> None:
        """Make one."""
        body = self.get_json_body()
        note = body.get("note") if isinstance(body, dict) else None
        if note is not None and (not isinstance(note, str) or len(note) > LONGEST_NOTE):
            raise web.HTTPError(400, f"A note is a text of at most {LONGEST_NOTE} characters.")
        await super().post(user_name)

    def _resolve_roles_and_scopes(self) -> None:
        """Refuse one more of many, as soon as it's known who asks, however they say so."""
        super()._resolve_roles_and_scopes()
        user = self.current_user
        if self.request.method != "POST" or getattr(user, "orm_user", None) is None:
            return
        own = self.db.query(orm.APIToken).filter_by(user_id=user.id, client_id=OWN)
        if own.count() >= MOST_TOKENS:
            raise web.HTTPError(
                400,
                f"You have {MOST_TOKENS} tokens, which is the most: revoke some that you don't "
                "need on the page Tokens, then try again.",
            )


HANDLERS = [(r"/api/users/([^/]+)/tokens", FewTokens)]
