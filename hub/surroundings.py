"""What a server is given of its place: variables that `workbench` reads, and folders of the site.

Pure, as `plan` is.
"""

import os
from collections.abc import Iterable

from spawners import Mount

from .gates import Gate
from .site import SiteProfile, Size
from .usecases import UseCase

TOLD_S = 300
"""How often servers tell of their use, by JupyterHub's own choice."""


def environment(use_case: UseCase, size_name: str, size: Size, site: SiteProfile) -> dict[str, str]:
    """Return what the server is told of its place; `workbench` reads it."""
    data, limits = site.data, site.limits
    told = {
        "BEAMHUB_SITE": site.title,
        "BEAMHUB_USE_CASE": use_case.name,
        "BEAMHUB_USE_CASE_VERSION": use_case.manifest.version,
        "BEAMHUB_SIZE": size_name,
        "BEAMHUB_MEMORY_GIB": f"{size.memory_gib:g}",
        "BEAMHUB_GPUS": str(size.gpus),
        "BEAMHUB_BUSY_H": f"{limits.busy_h:g}",
        # How often a server tells the hub of its use: more often than it could be stopped for none.
        "JUPYTERHUB_ACTIVITY_INTERVAL": str(min(TOLD_S, round(limits.idle_h * 3600 / 4) or 1)),
        "BEAMHUB_DATA_ROOTS": os.pathsep.join(map(str, data.roots)),
        "BEAMHUB_DATA_CACHE": str(data.cache or ""),
        "BEAMHUB_DATA_MIRRORS": " ".join(map(str, data.mirrors)),
        "BEAMHUB_DATA_QUOTA_GB": f"{data.quota_gb:g}" if data.quota_gb else "",
    }
    return {name: value for name, value in told.items() if value}


def program_paths(opened: Iterable[Gate], site: SiteProfile) -> dict[str, str]:
    """Return what tells the server where the commands of opened programs lie, as it sees them."""
    paths = []
    for gate in opened:
        assert gate.program is not None
        seen = gate.mount.target if site.backend.from_images else gate.mount.source
        paths.append(str(seen / (gate.program.bin or "")))
    return {"BEAMHUB_PATHS": os.pathsep.join(paths)} if paths else {}


def mounts(site: SiteProfile) -> list[Mount]:
    """Return the site's folders that servers see: its storage, and where it keeps data.

    The shared cache can be written where the backend's servers fill it.
    """
    data = site.data
    wanted = [(root, True) for root in data.roots]
    if data.cache:
        wanted.append((data.cache, not site.backend.fills_cache))
    found = list(site.storage)
    for path, read_only in wanted:
        if not any(path.is_relative_to(mount.target) for mount in found):
            found.append(Mount(source=path, target=path, read_only=read_only))
    return found
