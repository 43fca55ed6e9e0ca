"""What pods see of files: a home a user, and the site's folders as volumes."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from ..launch import Declared, Mount, absolute

HOME = "/home/jovyan"
HOME_VOLUME = "home"
DnsName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$")
]
Access = Literal["ReadWriteOnce", "ReadWriteMany"]


class Volume(Declared):
    """A part of the site's storage."""

    in_parts: ClassVar[bool] = False
    """Whether a folder of it is a volume as good as the whole."""
    holds: Annotated[Path, AfterValidator(absolute)] | None = Field(
        None,
        description="The folder of the site that it is: what `storage`, `data` and `programs` name "
        "below that folder is shown from it",
    )

    def source(self, part: PurePath, *, read_only: bool) -> dict[str, Any]:
        """Return it as a pod has it."""
        raise NotImplementedError


class Claim(Volume):
    """A claim that an administrator has made in the portal's namespace."""

    kind: Literal["claim"]
    claim: DnsName

    def source(self, part: PurePath, *, read_only: bool) -> dict[str, Any]:
        """Return the claim; one that is only read is not given to another group by the node."""
        del part
        return {"persistentVolumeClaim": {"claimName": self.claim, "readOnly": read_only}}


class Nfs(Volume):
    """A folder that a server exports by NFS."""

    in_parts: ClassVar[bool] = True
    kind: Literal["nfs"]
    server: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:-]*$")]
    path: Annotated[Path, AfterValidator(absolute)]

    def source(self, part: PurePath, *, read_only: bool) -> dict[str, Any]:
        """Return the export, or a folder of it."""
        folder = str(self.path / part)
        return {"nfs": {"server": self.server, "path": folder, "readOnly": read_only}}


class Csi(Volume):
    """What a driver of the cluster mounts, CVMFS for example."""

    kind: Literal["csi"]
    driver: DnsName
    attributes: dict[str, str] = {}

    def source(self, part: PurePath, *, read_only: bool) -> dict[str, Any]:
        """Return what the driver is asked for."""
        del part
        asked = {"driver": self.driver, "readOnly": read_only}
        return {"csi": {**asked, "volumeAttributes": self.attributes}}


class NodeFolder(Volume):
    """A folder of the node itself, which has to be on each; Pod Security's baseline forbids it."""

    in_parts: ClassVar[bool] = True
    kind: Literal["host"]
    path: Annotated[Path, AfterValidator(absolute)]

    def source(self, part: PurePath, *, read_only: bool) -> dict[str, Any]:
        """Return the folder; where it isn't there, the pod waits instead of making it."""
        del read_only
        return {"hostPath": {"path": str(self.path / part), "type": "Directory"}}


AnyVolume = Annotated[Claim | Nfs | Csi | NodeFolder, Field(discriminator="kind")]


def unshown(mounts: Iterable[Mount], volumes: Mapping[str, AnyVolume]) -> Iterator[str]:
    """Yield why a folder of the site can't be shown to pods, a sentence each."""
    for mount in mounts:
        if find(mount, volumes) is None:
            yield (
                f"pods can't see {mount.source}, since no volume of backend.volumes holds it. Say "
                "what it is, for example: volumes: {site: {kind: nfs, server: files.example.org, "
                f"path: /export, holds: {mount.source}}}}}"
            )


def find(mount: Mount, volumes: Mapping[str, AnyVolume]) -> tuple[str, PurePath] | None:
    """Return the volume that a folder lies in, and where in it; None where there is none."""
    if not mount.source.is_absolute():
        return (str(mount.source), PurePath()) if str(mount.source) in volumes else None
    holding = {
        name: volume.holds
        for name, volume in volumes.items()
        if volume.holds and mount.source.is_relative_to(volume.holds)
    }
    if not holding:
        return None
    name, folder = max(holding.items(), key=lambda found: len(found[1].parts))
    return name, PurePath(mount.source.relative_to(folder))


def site_volumes(
    mounts: Iterable[Mount], volumes: Mapping[str, AnyVolume]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the volumes of a pod for the site's folders, and where it sees them.

    Parameters
    ----------
    mounts : iterable of Mount
        Of a launch; those that `unshown` names are left out.
    volumes : mapping
        The site's, by name.
    """
    used: dict[tuple[str, PurePath], tuple[str, bool]] = {}
    seen = []
    for mount in mounts:
        if (place := find(mount, volumes)) is None:
            continue
        name, inside = place
        whole = volumes[name].in_parts
        # Two volumes of one claim in a pod would wait for each other on some clusters.
        key = (name, inside if whole else PurePath())
        called, read_only = used.get(key, (f"site-{len(used)}", True))
        used[key] = called, read_only and mount.read_only
        view = {"name": called, "mountPath": str(mount.target), "readOnly": mount.read_only}
        part = {"subPath": str(inside)} if not whole and inside.parts else {}
        seen.append({**view, **part})
    made = [
        {"name": called, **volumes[name].source(part, read_only=read_only)}
        for (name, part), (called, read_only) in used.items()
    ]
    return made, seen


def home_claim(
    name: str,
    *,
    storage_class: str | None,
    capacity: str,
    access: Access,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> dict[str, Any]:
    """Return the claim of a user's home."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "labels": dict(labels), "annotations": dict(annotations)},
        "spec": {
            "accessModes": [access],
            "resources": {"requests": {"storage": capacity}},
            **({"storageClassName": storage_class} if storage_class else {}),
        },
    }
