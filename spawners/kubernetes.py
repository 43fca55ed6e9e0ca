"""Cloud sites: one pod a server."""

import hashlib
import os
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from .launch import Backend, Launch, Mount

HOME = "/home/jovyan"


class KubernetesBackend(Backend):
    """A Kubernetes namespace."""

    spawner_class: ClassVar[str] = "kubespawner.KubeSpawner"
    title: ClassVar[str] = "Pods of a Kubernetes cluster"
    # All pods run under the account number of the image.
    fills_cache: ClassVar[bool] = False
    sees_mounts_only: ClassVar[bool] = True
    kind: Literal["kubernetes"]
    namespace: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
    gpu_resource: str = "nvidia.com/gpu"
    node_selector: dict[str, str] = {}
    storage_class: str | None = Field(None, description="None means the cluster's default")
    home_gib: int = Field(10, gt=0, description="Size of each user's home volume")
    start_timeout_min: float = Field(15, gt=0)

    def traits(self, launch: Launch) -> dict[str, Any]:
        """Return image, requests, limits, volumes and placement of the pod."""
        r = launch.resources
        home = {"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}
        return {
            "namespace": self.namespace,
            "image": launch.image,
            "cpu_limit": r.cores,
            "cpu_guarantee": r.cores / 2,
            "mem_limit": f"{r.memory_gib:g}G",
            "mem_guarantee": f"{r.memory_gib / 2:g}G",
            "extra_resource_limits": {self.gpu_resource: str(r.gpus)} if r.gpus else {},
            "node_selector": self.node_selector,
            "allow_privilege_escalation": False,
            "automount_service_account_token": False,
            "storage_pvc_ensure": True,
            **({"storage_class": self.storage_class} if self.storage_class else {}),
            "storage_capacity": f"{self.home_gib}Gi",
            "volumes": [home, *map(volume, launch.mounts)],
            "volume_mounts": [
                {"name": "home", "mountPath": HOME},
                *map(volume_mount, launch.mounts),
            ],
            "default_url": launch.start_page,
            "environment": launch.environment,
            "start_timeout": round(self.start_timeout_min * 60),
        }

    def live_checks(self) -> list[str]:
        """Return whether a cluster is configured here."""
        inside = Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
        if inside or os.environ.get("KUBECONFIG") or (Path.home() / ".kube/config").exists():
            return []
        return ["No Kubernetes cluster is configured here: set KUBECONFIG or run inside a cluster."]


def volume(mount: Mount) -> dict[str, Any]:
    """Return the pod's volume for one mount: a folder of the node."""
    return {"name": volume_name(mount), "hostPath": {"path": str(mount.source)}}


def volume_mount(mount: Mount) -> dict[str, Any]:
    """Return where the pod shows one mount."""
    return {
        "name": volume_name(mount),
        "mountPath": str(mount.target),
        "readOnly": mount.read_only,
    }


def volume_name(mount: Mount) -> str:
    """Return a name that Kubernetes accepts, the same for the same target."""
    return "site-" + hashlib.sha256(str(mount.target).encode()).hexdigest()[:12]
