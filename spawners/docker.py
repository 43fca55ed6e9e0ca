"""One machine with Docker: workstations, workshops and CI."""

import shutil
from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from .launch import Backend, Launch

HOME = "/home/jovyan"


class DockerBackend(Backend):
    """A Docker daemon."""

    spawner_class: ClassVar[str] = "dockerspawner.DockerSpawner"
    title: ClassVar[str] = "Docker containers on one machine"
    kind: Literal["docker"]
    network: str = Field("beamhub", pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$")
    processes_max: PositiveInt = Field(1024, description="Processes and threads of one server")
    shared_memory_gib: PositiveInt = Field(1, description="Size of /dev/shm")

    def traits(self, launch: Launch) -> dict[str, Any]:
        """Return the container's image, limits, network and mounts."""
        host_config: dict[str, Any] = {
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "pids_limit": self.processes_max,
            "shm_size": f"{self.shared_memory_gib}g",
        }
        if launch.resources.gpus:
            host_config["device_requests"] = [
                {"Driver": "nvidia", "Count": launch.resources.gpus, "Capabilities": [["gpu"]]}
            ]
        writable = {str(m.source): str(m.target) for m in launch.mounts if not m.read_only}
        return {
            "image": launch.image,
            "network_name": self.network,
            "use_internal_ip": True,
            "remove": True,
            "cpu_limit": launch.resources.cores,
            "mem_limit": f"{launch.resources.memory_gib:g}G",
            "default_url": launch.start_page,
            "environment": launch.environment,
            "extra_host_config": host_config,
            "notebook_dir": HOME,
            "volumes": {"beamhub-{username}": HOME, **writable},
            "read_only_volumes": {
                str(m.source): str(m.target) for m in launch.mounts if m.read_only
            },
        }

    def live_checks(self) -> list[str]:
        """Return whether there is a Docker client to talk with."""
        if shutil.which("docker") is None:
            return ["Docker is not installed on this machine: apt-get install docker.io"]
        return []
