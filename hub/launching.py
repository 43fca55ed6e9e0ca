"""Where a user's wish meets a real spawner: the only code that sets one up."""

from collections.abc import Callable
from typing import Any

from jupyterhub.spawner import Spawner, SpawnException
from tornado.log import app_log

from spawners.records import RecordError

from .deployment import Deployment
from .gates import Standing
from .plan import ask
from .refusal import Refused
from .requester import Requester


def launcher(deployment: Deployment) -> Callable[[Spawner, dict[str, Any]], None]:
    """Return the hook that JupyterHub calls with what a user sent, before every start."""

    def apply_user_options(spawner: Spawner, options: dict[str, Any]) -> None:
        try:
            prepare(spawner, options, deployment)
        except Refused as refusal:
            # What was refused must not be what the next start without options begins from.
            spawner.user_options = spawner.orm_spawner.user_options = {}
            raise SpawnException(
                refusal.in_full, reason=refusal.reason, status_code=refusal.status
            ) from None

    return apply_user_options


def prepare(spawner: Spawner, options: dict[str, Any], deployment: Deployment) -> None:
    """Set the spawner up for the launch that the options ask for."""
    site = deployment.site
    requester = requester_of(spawner.user, deployment)
    launch = deployment.plan_for(requester, spawner.name, ask(options))
    obstacles = site.backend.obstacles(launch)
    if obstacles:
        raise Refused(f"{' '.join(obstacles)} Ask {site.contact}.", reason="program", status=503)
    for trait, value in site.backend.traits(launch).items():
        setattr(spawner, trait, value)
    # Kept with the server, so that its time left and the user's share can be told later.
    size = launch.environment["BEAMHUB_SIZE"]
    kept = {key: value for key, value in options.items() if key != "safe"}  # it is for once
    spawner.user_options = spawner.orm_spawner.user_options = {**kept, "size": size}


def requester_of(user: Any, deployment: Deployment) -> Requester:
    """Return what decides which servers a user of JupyterHub's may have."""
    active = [spawner for spawner in user.spawners.values() if spawner.active]
    running = {s.name: deployment.site.sizes.get(size_of(s)) for s in active}
    return Requester(user.name, standing_of(user, deployment), running)


def standing_of(user: Any, deployment: Deployment) -> Standing:
    """Return a user's groups, and what they have accepted: nothing, where that can't be read.

    The groups are those of the log-in, which the doors bring up to date before every start.
    """
    return standing_in(frozenset(g.name for g in user.orm_user.groups), user.name, deployment)


def standing_in(groups: frozenset[str], name: str, deployment: Deployment) -> Standing:
    """Return the standing of somebody in some groups, who need not be logged in."""
    if not deployment.site.programs:
        return Standing(groups=groups)
    try:
        accepted = deployment.licences.of(name)
    except RecordError as error:
        app_log.error("No licence is taken as accepted: %s", error)
        accepted = {}
    return Standing(accepted, groups)


def size_of(spawner: Any) -> str:
    """Return the name of the size that a server was started with, empty where it's unknown."""
    options = spawner.orm_spawner.user_options or {}
    return str(options.get("size", ""))
