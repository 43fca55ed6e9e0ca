"""What a batch job tells of its server: that it listens, why it doesn't, what it misses."""

import json
from typing import Annotated, Any

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.scopes import needs_scope
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tornado import web

OUTPUT_CHARACTERS_MAX = 20_000


class Told(BaseModel):
    """All that a job can tell."""

    model_config = ConfigDict(extra="forbid", strict=True)
    listening: bool = False
    problem: Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f]*$")] = ""
    output: Annotated[str, Field(max_length=OUTPUT_CHARACTERS_MAX)] = ""
    memory_full: bool = False


class JobTells(APIHandler):
    """``/hub/api/beamhub/jobs/<user>/<server>``, with the token of that server.

    batchspawner's own call lets a user's server change any attribute of its spawner in the hub,
    its job's number among them, which then goes into a shell. This one takes that the
    server listens, a text, or that its memory was full.
    """

    @needs_scope("access:servers")  # type: ignore[untyped-decorator]
    async def post(self, user_name: str, server_name: str) -> None:
        """Take what the job tells."""
        user: Any = self.current_user
        spawner: Any = user.spawners.get(server_name) if user.name == user_name else None
        take = getattr(spawner, "take_report", None)
        if self.get_auth_token() is None or take is None or not spawner.active:
            raise web.HTTPError(404, "No such server is there.")
        try:
            told = Told.model_validate(json.loads(self.request.body))
        except (ValueError, ValidationError):
            text = "Expected 'listening', 'problem' with 'output', or 'memory_full'."
            raise web.HTTPError(400, text) from None
        take(**dict(told))
        self.set_status(204)


class Closed(APIHandler):
    """batchspawner's own call: not there."""

    def post(self) -> None:
        """Refuse."""
        raise web.HTTPError(404)


HANDLERS = [
    (r"/api/beamhub/jobs/([^/]+)/([^/]+)", JobTells),
    (r"/api/batchspawner", Closed),
]
