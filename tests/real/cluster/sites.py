"""Sites whose servers are jobs of a cluster: profiles, what check says of them, portals."""

import asyncio
import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from portals import BEAMHUB, ROOT, RunningPortal

from hub.usecases import CONSTRAINTS, NOTEBOOKS
from spawners.environments import Recipe, ensure

from .accounts import HUB
from .jobs import Jobs

SIZES = {
    "small": {"title": "Small", "cores": 1, "memory_gib": 4, "walltime_h": 8},
    "large": {"title": "Large", "cores": 8, "memory_gib": 16, "walltime_h": 8},
    "huge": {"title": "Huge", "cores": 64, "memory_gib": 16, "walltime_h": 8},
    "brief": {"title": "Brief", "cores": 1, "memory_gib": 2, "walltime_h": 3 / 60},
    "gpu": {"title": "GPU", "cores": 1, "memory_gib": 4, "walltime_h": 8, "gpus": 1},
    "whole": {"title": "Whole node", "cores": 1, "memory_gib": 4, "walltime_h": 8},
}


class Sites(Jobs):
    """Makes profiles whose servers are jobs of this cluster, and starts portals of them."""

    @property
    def shared(self) -> Path:
        """The folder that hub and nodes have in common."""
        return self.folder / "shared"

    def backend(self, **more: object) -> dict[str, object]:
        """Return a profile's backend: jobs of this cluster."""
        software = {"kind": "environment", "folder": str(self.shared)}
        same = {
            "kind": "slurm",
            "partition": "interactive",
            "hub": self.network.gateway,
            "query_s": 2,
        }
        by_size = {"whole": {"exclusive": True}}
        return {**same, "software": software, "by_size": by_size, **more}

    def profile(self, **more: object) -> Path:
        """Write a site profile whose servers are jobs of this cluster, and return its path."""
        path = self.folder / f"site-{len(list(self.folder.glob('site-*')))}.yaml"
        body = {
            "extends": "hpc",
            "title": "Cluster",
            "template": [],
            "login": {"kind": "codes"},
            "serving": {"bind": "127.0.0.1", "tls": "none", "public_url": None},
            "limits": {"servers": 9},
            "backend": self.backend(),
            "sizes": SIZES,
            **more,
        }
        path.write_text(json.dumps(body), encoding="utf-8")
        return path

    def check(
        self, account: str, backend: Mapping[str, object], *options: str, **more: object
    ) -> subprocess.CompletedProcess[str]:
        """Return what `beamhub check` tells an account of a profile whose sizes all can run."""
        names = ("small", "medium", "large")  # those of the profile that is extended
        sizes = {name: {"title": name, "cores": 1, "memory_gib": 2} for name in names}
        declared = self.backend(**{"by_size": {}, **backend})
        told = {"extends": "_defaults", "sizes": sizes, "backend": declared, **more}
        profile = self.profile(**told)
        profile.chmod(0o644)
        return subprocess.run(
            [*under(account), BEAMHUB, "check", profile, "--state=/tmp/beamhub-check", *options],
            capture_output=True,
            text=True,
            env={**self.environment, "HOME": "/tmp", "COLUMNS": "400"},
        )

    def portal(
        self,
        state: Path,
        *,
        profile: Path | None = None,
        first: Path | None = None,
        port: int | None = None,
        before: tuple[str, ...] = (),
        software: bool = True,
    ) -> RunningPortal:
        """Start a portal with an account of its own.

        `first` is the first folder on its PATH, `before` stands before its command; without
        software no server can start.
        """
        self.shared.mkdir(exist_ok=True)
        if software:
            self.make_software()
        for path in (state, *state.rglob("*")):
            if not path.is_symlink():
                shutil.chown(path, HUB, HUB)
        prefix = (*before, *under(HUB))
        environment = {**self.environment, "HOME": pwd.getpwnam(HUB).pw_dir, "USER": HUB}
        if first:
            environment["PATH"] = f"{first}{os.pathsep}{environment['PATH']}"
        site = str(profile or self.profile())
        return RunningPortal(state, site, port=port, prefix=prefix, environment=environment)

    def make_software(self) -> Path:
        """Return the environment of pyFAI, made ahead with what this machine has fetched before."""
        self.shared.mkdir(exist_ok=True)
        made = self.shared / "environments"
        if not made.exists():
            # The hub's account gets it: the state folders' environments are to stay root's.
            kept = Path(os.environ.get("BEAMHUB_CACHE", self.folder)) / "environments"
            kept.mkdir(parents=True, exist_ok=True)
            made.symlink_to(kept.resolve())
        recipe = Recipe(NOTEBOOKS / "pyfai/requirements.txt", CONSTRAINTS, ROOT / "workbench")
        # Scripts name their environment: by the path that stays.
        environment = asyncio.run(ensure(made.resolve(), recipe, lambda *_: None))
        shutil.chown(self.shared, HUB, HUB)
        shutil.chown(made.resolve(), HUB, HUB)
        return environment


def under(account: str) -> tuple[str, ...]:
    """Return what stands before a command that runs under an account."""
    return ("setpriv", f"--reuid={account}", f"--regid={account}", "--init-groups")
