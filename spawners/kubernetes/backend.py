"""Cloud sites: one pod a server."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from ..launch import Backend, BackendError, Launch, Mount, PortalContext, Resources
from .settings import CONTAINER, POD, KubernetesSettings
from .storage import HOME, HOME_VOLUME, site_volumes, unshown

NAMES = "/var/lib/extrausers"
"""Where images look for the name of the account, which `workbench.start` writes."""


class KubernetesBackend(Backend, KubernetesSettings):
    """A namespace of a Kubernetes cluster."""

    spawner_class: ClassVar[str] = "spawners.kubernetes.spawner.PodSpawner"
    title: ClassVar[str] = "Pods of a Kubernetes cluster"
    fills_cache: ClassVar[bool] = False
    sees_mounts_only: ClassVar[bool] = True
    kind: Literal["kubernetes"]

    def traits(self, launch: Launch) -> dict[str, Any]:
        """Return image, requests, limits, volumes and placement of the pod."""
        r = launch.resources
        size = launch.environment.get("BEAMHUB_SIZE", "")
        where = self.placement(size)
        volumes, views = site_volumes(launch.mounts, self.volumes)
        threads = str(r.whole_cores)
        return {
            "image": launch.image,
            "cpu_limit": r.cores,
            "cpu_guarantee": r.cores * self.cores_guaranteed,
            "mem_limit": f"{r.memory_gib:g}G",
            "mem_guarantee": f"{r.memory_gib * self.memory_guaranteed:g}G",
            "extra_resource_limits": {where.gpu_resource: str(r.gpus)} if r.gpus else {},
            "node_selector": where.node_selector,
            "tolerations": [t.model_dump(exclude_none=True) for t in where.tolerations],
            "priority_class_name": where.priority_class or "",
            "volumes": [*in_memory(r.memory_gib, self.shared_memory_gib), *volumes],
            "volume_mounts": [
                {"name": HOME_VOLUME, "mountPath": HOME},
                {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
                {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
                {"name": "names", "mountPath": NAMES},
                *views,
            ],
            "supplemental_gids": list(self.groups),
            "extra_labels": {
                **self.labels,
                "org.beamhub.use-case": launch.use_case,
                "org.beamhub.size": size,
            },
            "extra_annotations": {
                "org.beamhub.version": launch.version,
                "org.beamhub.site": launch.environment.get("BEAMHUB_SITE", ""),
            },
            "extra_pod_config": self.pod_config(r),
            "default_url": launch.start_page,
            "environment": {"OMP_NUM_THREADS": threads, **launch.environment},
        }

    def configured(self, portal: PortalContext) -> dict[str, Any]:
        """Return what is the same for all pods, and what pods may not."""
        return {
            "portal": portal.identity,
            "namespace": self.namespace,
            "prefix": self.prefix,
            "accounts": self.accounts,
            "first_number": self.first_number,
            "storage_class": self.storage_class,
            "storage_capacity": f"{self.home_gib}Gi",
            "storage_access_modes": [self.home_access],
            # Homes are made by us, one a user, and never deleted.
            "storage_pvc_ensure": False,
            "delete_pvc": False,
            "image_pull_policy": "IfNotPresent",
            "image_pull_secrets": list(self.pull_secrets),
            "automount_service_account_token": False,
            "allow_privilege_escalation": False,
            "container_security_context": CONTAINER,
            "pod_security_context": POD,
            "poll_interval": 15,
            "start_timeout": round(self.start_timeout_min * 60),
        }

    @property
    def names_are_accounts(self) -> bool:
        """Whether servers run under the numbers of accounts of the users' names."""
        return self.accounts == "system"

    @property
    def hub_address(self) -> str:
        """The address of this machine at which the hub listens."""
        return str(self.listen)

    @property
    def hub_connect_url(self) -> str:
        """Where pods reach the hub."""
        return str(self.hub_url).rstrip("/")

    def unshown(self, mounts: Iterable[Mount]) -> list[str]:
        """Return why folders of the site can't be shown to pods, a sentence each."""
        return list(unshown(mounts, self.volumes))

    def obstacles(self, launch: Launch) -> list[str]:
        """Return which folders the pod would not see."""
        return self.unshown(launch.mounts)

    def prepare(self) -> None:
        """Make sure that this machine knows a cluster; one that is away isn't a reason to wait."""
        from .client import configuration

        configuration()

    async def sweep(self, spawners: Collection[Any], *, portal: str, state: Path) -> int:
        """Remove pods of servers that the hub gave up while the cluster was silent."""
        from .strays import remove_strays

        del state
        return await remove_strays({s.pod_name for s in spawners}, self.namespace, portal)

    def live_checks(self) -> list[str]:
        """Return what the cluster lacks, or doesn't let the portal do."""
        from .client import configuration

        try:
            configuration()
        except BackendError as error:
            return [str(error)]
        from .checks import findings

        return findings(self)

    def size_checks(self, resources: Mapping[str, Resources]) -> list[str]:
        """Return which sizes are more than the cluster lets one server have."""
        from .checks import too_large

        return too_large(self, resources)


def in_memory(memory_gib: float, shared_gib: int) -> list[dict[str, Any]]:
    """Return what a server may write beside its home, all in its own memory."""
    half_mib = max(1, round(memory_gib * 512))
    room = {"tmp": f"{half_mib}Mi", "shm": f"{shared_gib}Gi", "names": "1Mi"}
    return [
        {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": limit}}
        for name, limit in room.items()
    ]
