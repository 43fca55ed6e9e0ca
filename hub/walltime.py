"""The time that a size grants: how much is left, and the end of it."""

from datetime import datetime, timedelta
from typing import Any

from jupyterhub.utils import utcnow

from .audit import WALLTIME, note_server
from .deployment import Deployment
from .launching import size_of


def ends_at(spawner: Any, deployment: Deployment) -> datetime | None:
    """Return when a server's time is over (UTC, without zone), None where nobody knows an end."""
    if deployment.site.backend.ends_servers:
        # Only the batch system knows: waiting for its turn doesn't count, operators may change it.
        told: datetime | None = getattr(spawner, "ends_at", None)
        return told
    size = deployment.site.sizes.get(size_of(spawner))
    started: datetime | None = spawner.orm_spawner.started
    if size is None or started is None:
        return None
    return started + timedelta(hours=size.walltime_h)


def seconds_left(spawner: Any, deployment: Deployment, now: datetime) -> float | None:
    """Return the seconds that a server has from `now` (UTC, without zone) on, None as above."""
    end = ends_at(spawner, deployment)
    return None if end is None else max(0.0, (end - now).total_seconds())


def unused_end(spawner: Any, deployment: Deployment, now: datetime) -> datetime | None:
    """Return when a server is stopped that nobody has used lately (UTC, without zone).

    None where it was used in the first half of that time: whoever uses it needs no warning.
    """
    longest = timedelta(hours=deployment.site.limits.idle_h)
    used: datetime | None = spawner.orm_spawner.last_activity
    if not spawner.ready or used is None or now - used < longest / 2:
        return None
    return used + longest


def grants_longer(spawner: Any, deployment: Deployment) -> bool:
    """Return whether this site has a size that grants more time than a server's."""
    sizes = deployment.site.sizes
    size = sizes.get(size_of(spawner))
    return size is not None and any(s.walltime_h > size.walltime_h for s in sizes.values())


async def stop_expired(app: Any, deployment: Deployment) -> None:
    """Stop every server whose time is over.

    A batch system ends its jobs itself; this is for the backends that don't.
    """
    if deployment.site.backend.ends_servers:
        return
    now = utcnow(with_tz=False)
    for user in list(app.users.values()):
        for spawner in list(user.spawners.values()):
            end = ends_at(spawner, deployment)
            if spawner.ready and end is not None and end <= now:
                await stop_one(app, user, spawner)


async def stop_one(app: Any, user: Any, spawner: Any) -> None:
    """Stop a server; what goes wrong with one must not keep the others from their end."""
    app.log.info("The time of %s is over, stopping it", spawner._log_name)
    spawner.ending = "Its time was over. Start it again to go on."
    note_server(spawner, "stop", by=WALLTIME)
    try:
        await user.stop(spawner.name)
    except Exception:
        app.log.exception("Could not stop %s, trying again soon", spawner._log_name)
