"""What the cluster's network and other accounts of a node get of somebody's server."""

import pwd
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
from cluster import Cluster, wait_until
from kernels import Kernel
from portals import RunningPortal

pytestmark = [
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(1800),
]
ALL_PROTOCOLS = 3
LISTENS = "0A"
NESTED = (
    "import subprocess; print(subprocess.run({program}, text=True, stdout=-1, stderr=-2).stdout)"
)
SRUN = ["srun", "--ntasks=1", "printenv", "BEAMHUB_SIZE"]
SBATCH = ["sbatch", "--parsable", "--mem=50", "--output=/dev/null", "--wrap", "true"]


class Sniffer:
    """Reads along on the cluster's network.

    Slurm's own daemons aren't listened to: without TLS of its own, it sends batch scripts as text.
    """

    def __init__(self, cluster: Cluster) -> None:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
        made.bind((cluster.network.tag, 0))
        made.settimeout(0.5)
        daemons = [cluster.ports["ctl"], *(17_000 + i for i in range(len(cluster.nodes)))]
        self._socket, self._daemons = made, {port.to_bytes(2, "big") for port in daemons}
        self.heard = bytearray()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                packet = self._socket.recv(70_000)
            except TimeoutError:
                continue
            # An Ethernet header of 14 bytes, one of IPv4 of 20, then both ports.
            if not {packet[34:36], packet[36:38]} & self._daemons:
                self.heard += packet

    def stop(self) -> bytes:
        self._over.set()
        self._thread.join()
        self._socket.close()
        return bytes(self.heard)


@pytest.fixture
def sniffer(cluster: Cluster) -> Iterator[Sniffer]:
    made = Sniffer(cluster)
    yield made
    made.stop()


def listeners(cluster: Cluster, user: str) -> list[tuple[str, int]]:
    """Return the node and port of all that an account listens at for other machines."""
    number, found = pwd.getpwnam(user).pw_uid, []
    for node in cluster.nodes:
        for table in ("tcp", "tcp6"):
            said = cluster.said(*cluster.network.inside(node), "cat", f"/proc/net/{table}")
            for line in said.splitlines()[1:]:
                _, local, _, state, _, _, _, uid, *_ = line.split()
                address, _, port = local.rpartition(":")
                if state == LISTENS and int(uid) == number and not address.endswith("0100007F"):
                    found.append((node, int(port, 16)))
    return found


def test_nothing_of_a_server_can_be_read_on_the_network_or_taken_on_its_node(
    slurm_portal: RunningPortal, cluster: Cluster, sniffer: Sniffer
) -> None:
    ada = slurm_portal.login("ada")
    slurm_portal.start_server(ada, "pyfai", size="small")
    number = cluster.job_of("ada")
    kernel = Kernel(slurm_portal, ada, "/user/ada/pyfai/")
    secret = "only for ada's eyes"
    asked = "import os; print(os.environ['JUPYTERHUB_API_TOKEN'], 'only for' + \" ada's eyes\")"
    token = kernel.run(asked).split()[0]
    assert ada.get("/user/ada/pyfai/api/contents").status_code == 200
    taken = listeners(cluster, "ada")
    heard = sniffer.stop()
    assert len(heard) > 20_000  # of starting, asking, and a kernel's messages
    cookies = [value for value in ada.cookies.jar if value.value and len(value.value) > 20]
    assert cookies
    words = ["HTTP/1.1", "Cookie", "/user/ada", secret, token, *(c.value or "" for c in cookies)]
    assert [word for word in words if word.encode() in heard] == []
    assert taken == []
    assert kernel.run(NESTED.format(program=SRUN)).split() == ["small"]
    assert kernel.run(NESTED.format(program=SBATCH)).split()[-1].isdigit()
    stopped_from_outside(slurm_portal, cluster, ada, number)


def stopped_from_outside(
    portal: RunningPortal, cluster: Cluster, ada: httpx.Client, number: str
) -> None:
    """End the job from outside; before the hub knows of it, nobody is behind its address."""
    cluster.said("scancel", "--signal=KILL", "--full", number)
    wait_until(lambda: number not in cluster.jobs(), "the end of the job")
    answer = ada.get("/user/ada/pyfai/api/status", follow_redirects=False)
    assert answer.status_code != 200
    wait_until(lambda: "/hub/stop/pyfai" not in ada.get("/hub/home").text, "the end")
    assert not list((portal.state / "tunnels").glob("*.key"))
    assert not list((portal.state / "tunnels").glob("*.sock"))
