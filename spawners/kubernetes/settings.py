"""What a site says of its cluster."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal, Self

from pydantic import Field, HttpUrl, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from ..launch import Declared, Resources, changed_by
from .storage import Access, AnyVolume, Claim, DnsName

STOP_S = 15
"""How long a server has to end in order."""
SECCOMP = {"seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER = {
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    **SECCOMP,
}
"""What a server's container may not."""
POD = {"fsGroupChangePolicy": "OnRootMismatch", "runAsNonRoot": True, **SECCOMP}
"""What holds for all of a pod."""
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)]
LabelKey = Annotated[
    str, Field(pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$")
]
LabelValue = Annotated[
    str, Field(pattern=r"^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$", max_length=63)
]
Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class Toleration(Declared):
    """A taint of nodes that doesn't keep pods away."""

    key: LabelKey
    operator: Literal["Exists", "Equal"] = "Exists"
    value: LabelValue | None = None
    effect: Effect | None = Field(None, description="None for all")


class Placement(Declared):
    """On which nodes pods run."""

    node_selector: dict[LabelKey, LabelValue] = Field({}, description="Labels of the nodes")
    tolerations: list[Toleration] = []
    priority_class: DnsName | None = None
    gpu_resource: LabelKey = Field(
        "nvidia.com/gpu", description="What the cluster calls a GPU, of this kind"
    )


class Way(Declared):
    """A network that servers may reach, beside the internet."""

    to: IPv4Network | IPv6Network
    ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field([], description="Empty: all")

    @model_validator(mode="after")
    def _leads_to_no_credentials(self) -> Self:
        for network in (ip_network("169.254.0.0/16"), ip_network("fe80::/10")):
            if self.to.version == network.version and self.to.overlaps(network):
                raise ValueError(
                    f"{self.to} holds addresses at which clouds tell machines their credentials: "
                    "name only the networks that are needed"
                )
        return self


class KubernetesSettings(Placement):
    """What is asked of a cluster, for all of a site's servers."""

    namespace: Namespace
    prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,9}$")] = Field(
        "beamhub",
        description="What the names of pods and homes begin with; portals that share a namespace "
        "need different ones",
    )
    hub_url: HttpUrl = Field(
        HttpUrl("http://hub:8081"),
        description="Where pods reach the hub: the name of its service, or an address of this "
        "machine that they have a way to. The hub's own port is the one 81 above the portal's",
    )
    listen: IPv4Address = Field(
        IPv4Address("0.0.0.0"),  # noqa: S104
        description="The address of this machine at which the hub listens for them",
    )
    by_size: dict[str, Placement] = Field(
        {}, description="Where pods of a size run instead: nodes with GPUs"
    )
    cores_guaranteed: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="The share of a size's cores that is kept for a server; it may use all"
    )
    memory_guaranteed: Annotated[float, Field(gt=0, le=1)] = Field(
        1, description="The same of memory. With less than 1, nodes that are full end servers"
    )
    storage_class: DnsName | None = Field(None, description="None means the cluster's default")
    home_gib: PositiveInt = Field(10, description="Size of each user's home")
    home_access: Access = Field(
        "ReadWriteOnce",
        description="ReadWriteOnce: all servers of a user run on one node; ReadWriteMany, where "
        "the storage class has it: anywhere",
    )
    volumes: dict[Namespace, AnyVolume] = Field(
        {}, description="The site's own storage, for `storage`, `data` and `programs`"
    )
    accounts: Literal["portal", "system"] = Field(
        "portal",
        description="Whose numbers pods run under. 'portal': one that the portal gives to each "
        "user; 'system': those of the account of the same name on the hub's machine, with its "
        "groups",
    )
    first_number: Annotated[int, Field(ge=1000, le=2_147_000_000)] = Field(
        2_001_000_000,
        description="Where the portal's numbers begin: above those of real accounts",
    )
    groups: list[NonNegativeInt] = Field(
        [], description="Numbers of groups that every server has beside, for the site's storage"
    )
    pull_secrets: list[DnsName] = Field(
        [], description="Secrets of the namespace with which images are fetched"
    )
    labels: dict[LabelKey, LabelValue] = Field(
        {}, description="Labels of every server's pod, beside the portal's own"
    )
    ways_out: list[Way] = Field(
        [],
        description="Private networks that servers have a way to, of which 'beamhub render' makes "
        "network policies: that of a mirror of data, for example",
    )
    shared_memory_gib: PositiveInt = Field(1, description="Size of /dev/shm")
    start_timeout_min: PositiveFloat = Field(
        15, description="Longest time to start, waiting for a node and fetching images included"
    )

    @model_validator(mode="after")
    def _homes_are_nobody_elses(self) -> Self:
        for name, volume in self.volumes.items():
            if isinstance(volume, Claim) and volume.claim.startswith(f"{self.prefix}-"):
                raise ValueError(
                    f"volumes.{name}: the claim {volume.claim} can be a user's own home"
                )
        return self

    def placement(self, size: str) -> Placement:
        """Return where pods of a size run."""
        return changed_by(Placement, self, self.by_size.get(size))

    def pod_config(self, resources: Resources) -> dict[str, Any]:
        """Return what is said of the pod as a whole."""
        walltime_s = round(resources.walltime_h * 3600)
        return {
            # A server that has ended is the hub's to tell of, not the node's to begin again.
            "restartPolicy": "Never",
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": STOP_S,
            # The hub ends it in time; this is for the day on which there is no hub.
            "activeDeadlineSeconds": walltime_s + round(self.start_timeout_min * 60),
        }
