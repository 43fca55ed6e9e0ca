"""From an archive to a running server with its notebook: the upload, the comparison, the opening.

Of what a user sends only the name of a use case, which must be one of the site's, and a size reach
a launch. The notebook goes to the user's own server once that runs, through the server's own REST
interface, by a token of the user that is good for this server only and for a minute.
"""

import asyncio
import json
import time
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from aiohttp import ClientError, ClientResponse, ClientTimeout
from jupyterhub.httpclient import fetch
from jupyterhub.orm import APIToken
from jupyterhub.utils import url_path_join
from tornado import web
from tornado.httputil import url_concat

from spawners import Launch
from spawners.environments import constraints_of
from workbench.words import size_text

from ..crate_shelf import Kept, Shelf
from ..crates import LARGEST, CrateError
from ..likeness import Line, compare, pinned, run_line
from ..refusal import Refused
from ..uploads import Upload
from ..usecases import CONSTRAINTS, UseCase
from .base import Page
from .launch import Open, texts
from .usecases import use_case_names

TOKEN_S = 60
UPLOAD_S = 50
SENDING_S = 600
PASSED_OVER = 1 << 30
MOST_NAMES = 50


@web.stream_request_body
class Reproduce(Page):
    """Where an archive of a notebook is sent, to be opened as it was run.

    Only here may a request be large, and only from somebody who is logged in: that is known before
    the first byte of it is read. It goes to a file as it comes.
    """

    upload: Upload | None = None

    async def prepare(self) -> None:
        """Let a user send something large."""
        await super().prepare()
        if self.request.method != "POST" or self._finished:
            return
        if self.current_user is None:
            raise web.HTTPError(403, "Your session has ended: log in again, then send it again.")
        # Beyond the largest archive, what comes is read and passed over, so that we can say why.
        connection: Any = self.request.connection
        connection.set_max_body_size(PASSED_OVER)
        connection.set_body_timeout(SENDING_S)
        if self.current_user.id in shelf(self).sending:
            raise web.HTTPError(429, "You are sending another archive at this moment.")
        shelf(self).sending.add(self.current_user.id)
        self.file = shelf(self).begin()
        kind = self.request.headers.get("Content-Type", "")
        self.upload = Upload(kind, "archive", self.file, LARGEST)

    def data_received(self, chunk: bytes) -> None:
        """Take a piece of what is sent."""
        if self.upload is not None:
            self.upload.write(chunk)

    def check_xsrf_cookie(self) -> None:
        """Look at the form's token once the form has come: JupyterHub asks before that too."""
        if self.request.method != "POST" or (self.upload is not None and self.received):
            super().check_xsrf_cookie()

    received = False

    @web.authenticated
    async def get(self) -> None:
        """Show the form."""
        await self.show("reproduce.html", problem="", largest=size_text(LARGEST))

    @web.authenticated
    async def post(self) -> None:
        """Read the archive, and go on to what it is."""
        upload = self.upload
        assert upload is not None
        if "_xsrf" in upload.fields:
            self.request.arguments["_xsrf"] = [upload.fields["_xsrf"].encode()]
        self.received = True
        self.check_xsrf_cookie()
        try:
            if not upload.whole or upload.files != 1 or not upload.size:
                raise CrateError("No file was sent: choose one that ends in .crate.zip.")
            if upload.size > LARGEST:
                raise CrateError(f"The file is larger than {size_text(LARGEST)}.")
            token = await shelf(self).put(self.current_user.id, self.file)
        except CrateError as problem:
            self.set_status(400)
            await self.show("reproduce.html", problem=str(problem), largest=size_text(LARGEST))
            return
        self.redirect(url_path_join(self.hub.base_url, "reproduce", token))

    def on_finish(self) -> None:
        """Let go of what was sent."""
        super().on_finish()
        self.let_go()

    def on_connection_close(self) -> None:
        """Let go of what was sent in part."""
        super().on_connection_close()
        self.let_go()

    def let_go(self) -> None:
        """Close the file, which has no name and is gone by that."""
        if self.upload is not None:
            self.upload = None
            self.file.close()
            shelf(self).sending.discard(self.current_user.id)


class Found(Open):
    """What an archive is, how much of it is the same here, and the button that opens it."""

    @web.authenticated
    async def get(self, token: str) -> None:
        """Show it."""
        kept = await kept_for(self, token)
        if kept is None:
            return
        about = kept.about
        use_case = self.deployment.offered.get(about.record.use_case or "")
        names: dict[str, object] = {"about": about, "record": about.record, "kept": kept}
        names["as_run"] = run_line(about)
        if use_case is not None:
            try:
                _, launch = self.planned(use_case.name, {})
            except Refused as refusal:
                names["why_not"] = refusal.message
            else:
                names["lines"] = await asyncio.to_thread(self.lines, kept, use_case, launch)
            names |= await use_case_names(self, use_case)
        await self.show("found.html", **names)

    @web.authenticated
    async def post(self, token: str) -> None:
        """Start the use case, unless it runs, and go on to the notebook once it does."""
        kept = await kept_for(self, token)
        if kept is None:
            return
        name = kept.about.record.use_case or ""
        sent = {k: v for k, v in texts(self.request.body_arguments).items() if k == "size"}
        try:
            asked, _ = self.planned(name, sent)
        except Refused as refusal:
            await self.show_refusal(refusal)
            return
        kept.want()
        spawner = self.current_user.spawners.get(name)
        if spawner is None or not spawner.active:
            await self.begin(name, asked)
        self.redirect(self.pending_then(name, self.request.path + "/notebook"))

    def pending_then(self, name: str, page: str) -> str:
        """Return the address to wait at for a server, which goes on to a page of the portal."""
        user = self.current_user
        if (spawner := user.spawners.get(name)) is not None and spawner.ready:
            return page
        url = url_path_join(self.hub.base_url, "spawn-pending", user.escaped_name, name)
        return str(url_concat(url, {"next": page}))

    def lines(self, kept: Kept, use_case: UseCase, launch: Launch) -> list[Line]:
        """Return the comparison of an archive with the use case here."""
        image = launch.image if self.deployment.site.backend.from_images else ""
        files = (use_case.folder / "requirements.txt", constraints_of(use_case.folder, CONSTRAINTS))
        pins = pinned(*(f.read_text(encoding="utf-8") for f in files if f and f.is_file()))
        return compare(kept.about, use_case, image, pins)


class Notebook(Page):
    """The way from a server that has become ready to the archive's notebook in it.

    It changes something only after the button was pressed, and once for each press: that is what
    a server's start, which ends in a GET, leaves to go by.
    """

    @web.authenticated
    async def get(self, token: str) -> None:
        """Put the notebook into the user's folder, and open it."""
        kept = await kept_for(self, token)
        if kept is None:
            return
        name = kept.about.record.use_case or ""
        spawner = self.current_user.spawners.get(name)
        if not kept.wanted or spawner is None or not spawner.ready:
            self.redirect(url_path_join(self.hub.base_url, "reproduce", token))
            return
        if not kept.placed:
            try:
                kept.place(await self.deliver(spawner, name, kept))
            except (ClientError, OSError, TimeoutError) as problem:
                self.log.warning("No notebook for %s: %s", spawner._log_name, problem)
                words = "Your server runs, but did not take the notebook. Is your disk full? "
                refusal = Refused(f"{words}Open it once more from the archive.", reason="crate")
                await self.show_refusal(refusal)
                return
        page = f"lab/tree/{quote(f'beamhub/{name}/{kept.placed}')}"
        self.redirect(self.server_page(name, page))

    async def deliver(self, spawner: Any, name: str, kept: Kept) -> str:
        """Put the notebook beside the tutorials under a new name, and return that."""
        user = self.current_user
        token = user.new_api_token(
            note="To put an archive's notebook into its server",
            expires_in=TOKEN_S,
            scopes=[f"access:servers!server={user.name}/{name}"],
        )
        contents = url_path_join(spawner.server.url, "api/contents/beamhub", name)
        try:
            for file in new_names(kept.about.notebook.name):
                url = f"{contents}/{quote(file)}"
                if not await self.exists(url, token):
                    # As a file of text: as a notebook, cells that say so would become trusted.
                    text = kept.notebook.decode("utf-8")
                    body = {"type": "file", "format": "text", "content": text}
                    await self.ask(url, token, method="PUT", body=json.dumps(body))
                    return file
        finally:
            if (found := APIToken.find(self.db, token)) is not None:
                self.db.delete(found)
                self.db.commit()
        raise OSError("there is no name left")

    async def exists(self, url: str, token: str) -> bool:
        """Return whether the server has a file already."""
        answer = await self.ask(f"{url}?content=0", token)
        if answer.status not in (200, 404):
            raise OSError(f"it answers {answer.status}")
        return answer.status == 200

    async def ask(
        self, url: str, token: str, *, method: str = "GET", body: str | None = None
    ) -> ClientResponse:
        """Return what the user's server answers; a failed write is an error."""
        answer: ClientResponse = await fetch(
            url,
            method=method,
            data=body,
            headers={"Authorization": f"token {token}"},
            timeout=ClientTimeout(total=UPLOAD_S),
            allow_redirects=False,
            raise_for_status=method != "GET",
        )
        answer.release()
        return answer


async def kept_for(page: Page, token: str) -> Kept | None:
    """Return the archive that a page's user has sent; say so where there is none any more."""
    kept = shelf(page).get(page.current_user.id, token)
    if kept is None:
        words = "This archive is no longer here: each is kept for a day, and one a user."
        refusal = Refused(f"{words} Send it again.", reason="crate", status=404)
        await page.show_refusal(refusal)
    return kept


def new_names(name: str) -> list[str]:
    """Return names for a notebook that nothing has yet, best first."""
    stem, word = PurePosixPath(name).stem, time.strftime("reproduced-%Y%m%d")
    more = [f"{stem}.{word}-{number}.ipynb" for number in range(2, MOST_NAMES)]
    return [f"{stem}.{word}.ipynb", *more]


def shelf(page: Page) -> Shelf:
    """Return what users have sent to this portal."""
    kept: Shelf = page.settings["crates"]
    return kept


HANDLERS = [
    (r"/reproduce", Reproduce),
    (r"/reproduce/([0-9a-f]{32})", Found),
    (r"/reproduce/([0-9a-f]{32})/notebook", Notebook),
]
