"""Backends: how one launch becomes the traits of a JupyterHub spawner."""

from typing import Annotated

from pydantic import Field

from .docker import DockerBackend
from .kubernetes import KubernetesBackend
from .launch import Backend, Bound, Launch, Mount, Resources
from .local import LocalBackend
from .slurm import SlurmBackend

AnyBackend = Annotated[
    LocalBackend | DockerBackend | SlurmBackend | KubernetesBackend,
    Field(discriminator="kind"),
]

__all__ = [
    "AnyBackend",
    "Backend",
    "Bound",
    "DockerBackend",
    "KubernetesBackend",
    "Launch",
    "LocalBackend",
    "Mount",
    "Resources",
    "SlurmBackend",
]
