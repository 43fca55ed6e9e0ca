"""A Kubernetes cluster of the tests' own: one node on this machine, from Debian's packages.

Its programs are built once, by tests/real/kubernetes/programs.sh, into the folder that
BEAMHUB_KUBERNETES names; without that name, tests that need a cluster aren't there.
"""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from portals import PATIENCE_S, RunningPortal, free_port

RECIPE = Path(__file__).with_name("kubernetes")
NAMESPACE = "beamhub"
HOMES = 40
LINK = "bhk8s0"
POD_NETWORKS = ("10.89.64.0/24", "10.89.128.0/24")
GROUP = "beamhub-kubernetes"
COVERED = [
    Path(name)
    for name in (
        "/var/lib/cni",
        "/var/lib/kubelet",
        "/etc/cni",
        "/opt/cni",
        "/usr/libexec/kubernetes",
    )
]
"""Where the cluster has a file system of its own over folders that this machine may lack."""
START_S = 4 * PATIENCE_S
"""Its eight programs begin one after another; on a machine with little time left for it,
the node was there after 200 s."""


def programs() -> Path | None:
    """Return where the cluster's programs are or shall be, None where no cluster is wanted."""
    named = os.environ.get("BEAMHUB_KUBERNETES")
    return Path(named) if named else None


class Kube:
    """The cluster."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder
        subprocess.run(["sh", RECIPE / "programs.sh", folder], check=True)
        self.folder = Path(tempfile.mkdtemp(prefix="bh-kube-"))
        self.folder.chmod(0o755)
        self.process: subprocess.Popen[bytes] | None = None
        self.inside = 0
        self.lacking = [place for place in COVERED if not place.exists()]

    @property
    def kubeconfig(self) -> Path:
        """Of the portal, which may no more than the docs say."""
        return self.folder / "hub"

    def start(self) -> None:
        """Start all, and make what an administrator makes."""
        for name in ("keys", "run", "log", "homes"):
            (self.folder / name).mkdir()
        self._write_settings()
        subprocess.run(
            ["sh", RECIPE / "keys.sh", self.folder / "keys"], check=True, capture_output=True
        )
        namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child=SIGKILL"]
        with (self.folder / "log/inside").open("w") as log:
            self.process = subprocess.Popen(
                [
                    *("unshare", *namespaces, "--propagation=private"),
                    *("bash", RECIPE / "inside.sh", self.programs, self.folder),
                ],
                stdout=log,
                stderr=log,
            )
        self._link()
        self._wait(lambda: " Ready" in self.kubectl("get", "node", "node-1", check=False))
        pause = self.folder / "pause.tar"
        write_image(pause, "localhost/pause:1", self.programs / "bin/pause")
        self.load(pause)
        self.kubectl("apply", "-f", self.folder / "settings/site.yaml")
        self.kubectl("apply", "-f", "-", given=json.dumps(self._homes()))
        self._log_in_the_hub()

    def _write_settings(self) -> None:
        for source in (RECIPE / "settings").rglob("*"):
            target = self.folder / "settings" / source.relative_to(RECIPE / "settings")
            if source.is_dir():
                target.mkdir(parents=True)
                continue
            target.parent.mkdir(exist_ok=True)
            text = source.read_text().replace("@FOLDER@", str(self.folder))
            target.write_text(text.replace("@PROGRAMS@", str(self.programs)))

    def _link(self) -> None:
        """Give the cluster's network a way from and to this machine."""
        assert self.process
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self._wait(lambda: bool(children.read_text().split()))
        self.inside = int(children.read_text().split()[0])
        command = f"ip link add {LINK} type veth peer name k8s0 netns {self.inside}"
        for line in (
            command,
            f"ip addr add 10.89.0.1/30 dev {LINK}",
            f"ip link set {LINK} up",
            *(f"ip route replace {network} via 10.89.0.2" for network in POD_NETWORKS),
        ):
            subprocess.run(line.split(), check=True)

    def _homes(self) -> dict[str, Any]:
        """Return volumes for homes: there is nothing that makes one for a claim."""
        made = []
        for number in range(HOMES):
            folder = self.folder / f"homes/{number}"
            folder.mkdir()
            folder.chmod(0o777)
            made.append(
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolume",
                    "metadata": {"name": f"home-{number}"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "capacity": {"storage": "10Gi"},
                        "hostPath": {"path": str(folder)},
                        "persistentVolumeReclaimPolicy": "Retain",
                        "storageClassName": "by-hand",
                    },
                }
            )
        return {"apiVersion": "v1", "kind": "List", "items": made}

    def _log_in_the_hub(self) -> None:
        path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/hub/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        answer = self.kubectl("create", "--raw", path, "-f", "-", given=json.dumps(asked))
        token = json.loads(answer)["status"]["token"]
        text = (self.folder / "settings/admin").read_text()
        head, _, _ = text.partition("users:")
        self.kubeconfig.write_text(f"{head}users:\n- {{name: admin, user: {{token: {token}}}}}\n")
        self.kubeconfig.chmod(0o600)

    def kubectl(self, *arguments: Any, given: str = "", check: bool = True) -> str:
        """Do something as the cluster's administrator, and return what is said."""
        command = [self.programs / "bin/kubectl", f"--kubeconfig={self.folder}/settings/admin"]
        done = subprocess.run(
            [*map(str, command), *map(str, arguments)],
            input=given,
            text=True,
            capture_output=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def pods(self) -> dict[str, Any]:
        """Return the pods of the portal, by name."""
        listed = json.loads(self.kubectl("get", "pods", f"-n={NAMESPACE}", "-o=json"))
        return {pod["metadata"]["name"]: pod for pod in listed["items"]}

    def load(self, archive: Path) -> None:
        """Put an image onto the node."""
        ctr = [self.programs / "bin/ctr", "-a", "/run/containerd/containerd.sock", "-n", "k8s.io"]
        enter = ["nsenter", f"--target={self.inside}", "--net", "--mount", "--pid"]
        subprocess.run([*enter, *ctr, "images", "import", archive], check=True, capture_output=True)

    @contextmanager
    def without_api(self) -> Iterator[None]:
        """Have no API server for a while, as an upgrade does."""
        marker = self.folder / "no-apiserver"
        marker.touch()
        number = (self.folder / "run/apiserver.pid").read_text().strip()
        enter = ["nsenter", f"--target={self.inside}", "--mount", "--pid"]
        subprocess.run([*enter, "kill", "-KILL", number], check=True)
        try:
            yield
        finally:
            marker.unlink()

    def portal(
        self, state: Path, registry: str, *, port: int | None = None, **backend: Any
    ) -> RunningPortal:
        """Start a portal of this cluster."""
        port = port or free_port()
        profile = {
            "extends": "workstation",
            "title": "Pods",
            "login": {"kind": "codes"},
            "registry": registry,
            "limits": {"servers": 9},
            "backend": {
                "kind": "kubernetes",
                "namespace": NAMESPACE,
                "hub_url": f"http://10.89.0.1:{port + 81}",
                "cores_guaranteed": 0.1,
                "memory_guaranteed": 0.25,
                "start_timeout_min": 5,
                **backend,
            },
        }
        path = self.folder / f"site-{port}.yaml"
        path.write_text(json.dumps(profile))
        return RunningPortal(state, str(path), port=port)

    def stop(self) -> None:
        """End the first process, and with it everything."""
        if self.inside:
            os.kill(self.inside, signal.SIGKILL)
        if self.process:
            self.process.wait(PATIENCE_S)
        subprocess.run(["ip", "link", "delete", LINK], check=False, capture_output=True)
        for top in Path("/sys/fs/cgroup").glob(f"*/{GROUP}"):
            for group in sorted(top.rglob("*"), reverse=True):
                if group.is_dir():
                    group.rmdir()
            top.rmdir()
        for place in self.lacking:
            if place.is_dir():
                place.rmdir()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self, check: Any) -> None:
        end = time.monotonic() + START_S
        while not check():
            assert self.process and self.process.poll() is None, self.log()
            assert time.monotonic() < end, self.log()
            time.sleep(0.5)

    def log(self) -> str:
        """Return what its programs said last."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}"
            for path in sorted((self.folder / "log").iterdir())
        )


def write_image(archive: Path, name: str, program: Path) -> None:
    """Write an image of one program, as `docker save` would."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(program, "program")
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    about = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/program"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    parts = {
        "layer.tar": layer.getvalue(),
        "config.json": json.dumps(about).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    with tarfile.open(archive, "w") as tar:
        for part, contents in parts.items():
            entry = tarfile.TarInfo(part)
            entry.size = len(contents)
            tar.addfile(entry, io.BytesIO(contents))
