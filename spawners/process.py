"""Start a user's server as a process of this machine, in its use case's own environment."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

import psutil
from aiohttp import ClientError
from jupyterhub.httpclient import fetch
from jupyterhub.spawner import LocalProcessSpawner, SpawnException
from jupyterhub.utils import maybe_future, url_path_join
from tornado.ioloop import IOLoop
from traitlets import Any as AnyTrait
from traitlets import Bool, Enum, Integer, List, Unicode

from . import confinement, environments
from .accounts import account_for, parts_of
from .confine import Walls
from .confinement import Confined
from .control_groups import GroupError
from .entering import Entry, groups_of, server_command, some_cores, whole_cores
from .environments import BuildError, Recipe
from .forkservers import Forked, Forkservers
from .leftovers import end_processes
from .local import missing
from .marks import marks_of
from .payload import payload
from .people import FILE, People, users_by_age
from .process_end import end_of
from .rights import asking
from .rights.asking import Child, HelperError
from .rights.readying import readied
from .server_log import bounded_log
from .server_socket import listening_socket, socket_url
from .shared_data import own_data_folder
from .state_folders import DATA, ENVIRONMENTS, HOMES, USE_CASES
from .system_accounts import Account, AccountError
from .telling import (
    TellingSpawner,
    ending_by_status,
    last_output,
    memory_full_text,
    said_reason,
)
from .told_variables import told_names

WORDS_LOOKS = 10
"""Tenths of a second for which the last words of a server that has ended may be on their way."""
FORKSERVERS = Forkservers()
"""Where this process starts servers itself; a helper has its own."""


class EnvironmentSpawner(TellingSpawner, LocalProcessSpawner):
    """What the stock spawner lacks: environments, private homes, walls, limits, a log.

    Limits hold for each process of a server: cores by its CPU affinity, memory by RLIMIT_DATA, so
    that an array too large is a MemoryError in its notebook and not the end of the machine. For the
    server as a whole they hold where root has control groups; see `spawners.confinement`.
    """

    workbench_folder = Unicode(help="The package that notebooks import").tag(config=True)
    constraints_file = Unicode("", help="Versions for use cases without their own").tag(config=True)
    use_case_folder = Unicode(help="Notebooks, manifest and requirements of the use case")
    sockets_folder = Unicode(help="Where servers' sockets lie").tag(config=True)
    programs = List(Unicode(), help="Programs that must be on the PATH")
    accounts = Enum(["portal", "system"], "portal", help="See LocalBackend.accounts")
    umask = Unicode("077", help="See LocalBackend.umask").tag(config=True)
    proc = AnyTrait(None, allow_none=True, help="The server's process, if this hub has started it")

    confinement = Enum(
        ["required", "available", "off"], "off", help="See LocalBackend.confinement"
    ).tag(config=True)
    processes_max = Integer(1024, help="See LocalBackend.processes_max").tag(config=True)
    forkserver = Bool(False, help="See LocalBackend.forkserver").tag(config=True)
    disk_bytes_s = Integer(None, allow_none=True, help="See LocalBackend.disk_mb_s, in bytes").tag(
        config=True
    )
    portal = Unicode(help="What tells this portal from others").tag(config=True)

    # A Jupyter server that is interrupted while a kernel starts hangs; half a minute of waiting
    # each for SIGINT and SIGTERM, as is usual, is longer than people wait for Ctrl-C.
    interrupt_timeout = Integer(5, help="Seconds to wait after SIGINT").tag(config=True)
    term_timeout = Integer(5, help="Seconds to wait after SIGTERM").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._account: Account | None = None
        self._pid_created = 0.0
        self._marks: dict[str, str] = {}
        self._socket = ""
        self._handed = -1
        self._confined: Confined | None = None
        self._start_name = ""
        self._memory_kills = 0
        self._watch: asyncio.Future[None] | None = None

    async def start(self) -> str:
        """Start the server; what it waits for is told on the pending page."""
        self.begin_telling()
        self._refuse_missing_programs()
        try:
            environment, notebooks = await self._made_ready()
            self._account = await self._account_of_user()
        except BuildError as error:
            self.log.error("Building for %s failed:\n%s", self._log_name, error.log)
            self.keep_log(error.log.encode())
            raise SpawnException(str(error), reason="environment", status_code=503) from None
        except AccountError as error:
            raise SpawnException(str(error), reason="account", status_code=403) from None
        self.report(90, "Starting JupyterLab")
        self._prepare(environment, notebooks, self._account)
        self._confine(self._account)
        # The process has its own copy then, and ends what is behind the address when it ends.
        with (
            bounded_log(self.log_file) as log,
            listening_socket(Path(self.sockets_folder)) as listener,
        ):
            self._take_address(listener.getsockname())
            self._handed = listener.fileno()
            if asking.helper is None:
                await self._start_here(environment, log)
            else:
                self.proc = await self._started_by(asking.helper, environment, log.fileno())
                self.pid = self.proc.pid
        self._pid_created = created(self.pid)
        self._marks = marks_of(self.get_env())
        await self._wait_for_answer()
        return socket_url(self._socket)

    async def _start_here(self, environment: Path, log: IO[bytes]) -> None:
        """Start the server's process: as a copy of one where there is one, in its own Python."""
        files = [self._handed, log.fileno()]
        given = (environment, self._entry(), self.get_args(), self.get_env(), files)
        copy = await asyncio.to_thread(FORKSERVERS.start, *given) if self.forkserver else None
        if copy:
            self.log.info("Spawning %s as a copy", self._log_name)
            self.proc, self.pid = copy, copy.pid
            return
        self.popen_kwargs = {"stdout": log, "stderr": log, "pass_fds": files[:1], "cwd": "/"}
        await super().start()

    def _take_address(self, path: str) -> None:
        """Let hub and proxy find the server at a socket; the database has no room for its path."""
        self._socket = path
        if self.server is not None:
            self.server.connect_url = socket_url(path)

    def _give_up_address(self) -> None:
        """Let the server's address lead to nobody."""
        if self._socket:
            Path(self._socket).unlink(missing_ok=True)
            self._socket = ""

    async def _wait_for_answer(self) -> None:
        """Wait until the server answers; one that ends by itself is noticed at once."""
        answer = asyncio.ensure_future(self._answer())
        end = asyncio.ensure_future(end_of(self.pid))
        try:
            await asyncio.wait([answer, end], return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise SpawnException(await self._why_ended(), reason="ended", status_code=500)
            answer.result()
        finally:
            answer.cancel()
            end.cancel()

    async def _why_ended(self) -> str:
        """Return why a server ended that was starting; its words come by another process."""
        for _ in range(WORDS_LOOKS):
            if said := said_reason(last_output(self.log_file)):
                return said
            await asyncio.sleep(0.1)
        return "JupyterLab ended by itself while it was starting."

    async def _answer(self) -> None:
        """Ask the server until it answers: a question waits at its socket until it takes it."""
        url = url_path_join(self.server.url, "api")
        while True:
            try:
                (await fetch(url, allow_redirects=False, raise_for_status=False)).release()
            except (ClientError, TimeoutError):
                await asyncio.sleep(0.1)
            else:
                return

    def _refuse_missing_programs(self) -> None:
        lacking = missing(self.programs, self.environment)
        if lacking:
            raise SpawnException(
                f"This machine lacks {', '.join(lacking)}, which this use case needs.",
                reason="program",
                status_code=503,
            )

    async def _made_ready(self) -> tuple[Path, Path]:
        """Return where the environment and the notebooks lie, made where they aren't there yet."""
        use_case = Path(self.use_case_folder)
        if asking.helper is not None:
            return await readied(use_case.name, self.report)
        return await self._environment(), payload(self._state / USE_CASES, use_case)

    async def _environment(self) -> Path:
        recipe = Recipe.of(
            Path(self.use_case_folder),
            Path(self.constraints_file) if self.constraints_file else None,
            Path(self.workbench_folder),
        )
        # By its real path, which its programs name: what is behind a link stays in sight too.
        folder = (self._state / ENVIRONMENTS).resolve()
        return await environments.ensure(folder, recipe, self.report)

    async def _account_of_user(self) -> Account:
        """Return the account, with its home and its folder in the cache of data."""
        if asking.helper is None:
            account = account_for(
                self.user.name, self.accounts, self._state / HOMES, lambda: users_by_age(self.db)
            )
            own_data_folder(self._state / DATA, account)
            return account
        made = await asking.helper.asked("account", **self._owner())
        return Account(made["name"], made["uid"], made["gid"], Path(made["home"]))

    def _owner(self) -> dict[str, Any]:
        """Return what the helper has to know of the user."""
        people = People(self._state / FILE)
        found = people.of(self.user.name, lambda: users_by_age(self.db))
        return {
            "user": self.user.name,
            "slug": found.slug,
            "short": parts_of(found)[0],
            "number": found.number,
        }

    async def _started_by(self, helper: asking.Asking, environment: Path, log: int) -> Child:
        """Have the server started by the helper, which puts the walls around it."""
        # Known before it's there: what nobody knows is ended.
        self._start_name = confinement.name_of_start(f"{self.user.id}-{self.name}")
        self.log.info("Spawning %s as %s", self._log_name, self._start_name)
        try:
            started = await helper.asked(
                "start",
                (self._handed, log),
                **self._owner(),
                server=self._start_name,
                environment=environment.name,
                arguments=self.get_args(),
                variables=self.get_env(),
                memory_bytes=int(self.mem_limit or 0),
                cores=float(self.cpu_limit or 1),
            )
        except HelperError as error:
            self.log.error("The helper did not start %s: %s", self._log_name, error)
            raise SpawnException(
                "This machine could not start a server for you. An administrator finds the reason "
                "in the portal's log.",
                reason="helper",
                status_code=503,
            ) from None
        self._watch_memory()
        return Child(helper, self._start_name, started["pid"])

    def _watch_memory(self) -> None:
        """Find the control groups of the server as the helper calls it."""
        if self.confinement != "off" and self._start_name:
            found = confinement.offer()
            self._confined = confinement.restored(found, self.portal, self._start_name)
            self._memory_kills = self._confined.group.memory_kills

    def _prepare(self, environment: Path, notebooks: Path, account: Account) -> None:
        """Set what the process runs and sees."""
        path = os.pathsep.join([str(environment / "bin"), os.environ.get("PATH", os.defpath)])
        self.env_keep = told_names()
        self.notebook_dir = str(account.home)
        self.cmd = server_command(environment)
        self.environment = {
            "BEAMHUB_DATA_CACHE": str(self._state / DATA),
            **self.environment,
            "PATH": path,
            "VIRTUAL_ENV": str(environment),
            "BEAMHUB_NOTEBOOKS": str(notebooks),
            "OMP_NUM_THREADS": str(whole_cores(self.cpu_limit)),
        }

    @property
    def _state(self) -> Path:
        return Path(self.state_folder)

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        """Add the account's own variables, and where the server listens."""
        assert self._account is not None
        account, base = self._account, self.server.base_url if self.server else "/"
        return {
            **env,
            "USER": account.name,
            "LOGNAME": account.name,
            "HOME": str(account.home),
            "SHELL": "/bin/bash",
            "JUPYTERHUB_SERVICE_URL": f"{socket_url(self._socket)}{base}",
            "BEAMHUB_SOCKET": str(self._handed),
        }

    def make_preexec_fn(self, name: str) -> Callable[[], None]:
        """Return what the process does to itself before it runs: limits, account, home."""
        del name
        return self._entry()

    def _entry(self) -> Entry:
        account = self._account
        assert account is not None
        return Entry(
            account,
            groups_of(account),
            self._confined.walls if self._confined else Walls(),
            some_cores(self.cpu_limit),
            int(self.mem_limit or 0),
            int(self.umask, 8),
        )

    def _confine(self, account: Account) -> None:
        """Make the server's control groups and what it has of its own."""
        if self.confinement == "off" or os.geteuid() != 0:
            return
        named = [str(self._state), str(account.home), *self.cmd, *self.get_env().values()]
        self._memory_kills = 0
        try:
            self._confined = confinement.confined(
                confinement.offer(),
                self.portal,
                confinement.name_of_start(f"{self.user.id}-{self.name}"),
                memory_bytes=int(self.mem_limit or 0),
                processes_max=self.processes_max,
                disk_bytes_s=self.disk_bytes_s,
                cores=self.cpu_limit or 1,
                named=named,
            )
        except (GroupError, OSError) as error:
            self.log.error("Confining %s failed: %s", self._log_name, error)
            raise SpawnException(
                "This server could not be kept apart from others, so it was not started.",
                reason="confinement",
                status_code=503,
            ) from None

    @property
    def confined_as(self) -> str:
        """The name of the server's control groups, or of its start; empty where it has none."""
        return self._confined.group.server if self._confined else self._start_name

    def _tell_memory(self) -> bool:
        """Tell where something in the server was ended since its memory was full."""
        kills = self._confined.group.memory_kills if self._confined else 0
        full = kills > self._memory_kills
        if full:
            self._memory_kills = kills
            self.notice = memory_full_text(datetime.now(UTC), int(self.mem_limit) / 2**30)
        return full

    def get_state(self) -> dict[str, Any]:
        """Keep when the process began too: a number alone may be another process's later."""
        state = super().get_state()
        more = {"pid_created": self._pid_created, "marks": self._marks, "socket": self._socket}
        more["confined_as"] = self.confined_as
        return {**state, **more} if self.pid else state

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the process after a restart of the hub."""
        super().load_state(state)
        self._pid_created = state.get("pid_created", 0.0)
        self._marks = state.get("marks", {})
        if path := state.get("socket", ""):
            self._take_address(path)
        name = state.get("confined_as", "")
        if asking.helper is not None:
            self._start_name = name
            self._watch_memory()
        elif name:
            found = confinement.offer()
            self._confined = confinement.restored(found, self.portal, name)
            self._memory_kills = self._confined.group.memory_kills

    async def run_post_stop_hook(self) -> None:
        """Let its address lead to nobody, and end what its user left running in it.

        However the server came to its end.
        """
        self._give_up_address()
        count = await self._end_the_rest()
        self._confined = None
        if count:
            self.log.info("Ended %i processes that %s had left", count, self._log_name)
        await maybe_future(super().run_post_stop_hook())

    async def _end_the_rest(self) -> int:
        """End what is left of the server, and return how many processes ran."""
        if asking.helper is None:
            count = await asyncio.to_thread(end_processes, self._marks)
            return count + (await asyncio.to_thread(self._confined.end) if self._confined else 0)
        if not self._start_name:
            return 0
        name, self._start_name = self._start_name, ""
        try:
            return int(await asking.helper.asked("finish", name=name))
        except HelperError as error:
            self.log.error("The helper did not end what %s left: %s", self._log_name, error)
            return 0

    async def _signal(self, sig: int) -> bool:
        """Return whether the server's process is there; it gets a signal."""
        if isinstance(self.proc, Forked):
            return self.proc.signalled(sig)
        if asking.helper is None:
            return bool(await super()._signal(sig))
        try:
            said = await asking.helper.asked("signal", name=self._start_name, number=int(sig))
        except HelperError as error:
            # One of before this hub had a helper, which knows nothing of it.
            self.log.error("The helper did not signal %s: %s", self._log_name, error)
            return psutil.pid_exists(self.pid)
        return bool(said["running"])

    def start_polling(self) -> None:
        """Look at the process now and then, and at once when it has ended."""
        super().start_polling()
        self._watch = asyncio.ensure_future(self._notice_end(self.pid))

    def stop_polling(self) -> None:
        """Look no more."""
        super().stop_polling()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    async def _notice_end(self, pid: int) -> None:
        await end_of(pid)
        # As a task of its own: one of the first things that it does is to cancel this one.
        IOLoop.current().add_callback(self.poll_and_notify)

    async def wait_for_death(self, timeout: float = 10) -> bool:  # noqa: ASYNC109 - JupyterHub's
        """Return whether the process ends within so many seconds, as soon as it does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await end_of(self.pid)
        return await self.poll() is not None

    async def poll(self) -> int | None:
        """Return None while the server's own process runs, its exit status otherwise."""
        begun = self.proc is not None or bool(self.pid)
        if not begun or (self.proc is None and created(self.pid) != self._pid_created):
            self.clear_state()
            return 0
        status = cast(int | None, await super().poll())
        full = self._tell_memory()
        if status is not None:
            why = ending_by_status(status, last_output(self.log_file))
            self.tell_ending(self.notice if full else why)
        return status


def created(pid: int) -> float:
    """Return when a process began, in seconds since 1970; 0 where it has ended."""
    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return 0.0
