"""What people can send to a Slurm site, what its jobs keep to themselves, who starts them."""

import pwd
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import pytest
from cluster import HUB, Cluster, wait_until
from kernels import Kernel
from portals import RunningPortal
from queueing import begin, pending, wait_for_page

pytestmark = [
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(1800),
]


@pytest.fixture(scope="module")
def token(slurm_portal: RunningPortal) -> str:
    """A token that eve made for herself."""
    eve = slurm_portal.login("eve")
    cookie = eve.cookies.get("_xsrf", path="/hub/") or ""
    answer = eve.post("/hub/api/users/eve/tokens", headers={"X-XSRFToken": cookie})
    return str(answer.json()["token"])


def test_a_home_that_can_not_be_written_is_said(
    slurm_portal: RunningPortal, cluster: Cluster
) -> None:
    home = cluster.folder / "homes/sue"
    home.chmod(0o500)
    try:
        client = slurm_portal.login("sue")
        begin(client, size="small")
        page = wait_for_page(client, pending("sue"), "chmod u+rwx")
        assert "is yours, but its mode forbids" in page
    finally:
        home.chmod(0o700)


@pytest.fixture
def small_homes(cluster: Cluster) -> Iterator[dict[str, int]]:
    """Homes on file systems of their own, with as many kB in them as is told."""
    room_kb = {"sue": 0, "quentin": 160}
    for name, size in room_kb.items():
        home, account = cluster.folder / "homes" / name, pwd.getpwnam(name)
        about = f"size={size + 64}k,mode=0700,uid={account.pw_uid},gid={account.pw_gid}"
        cluster.said("mount", "-t", "tmpfs", "-o", about, "none", home)
        (home / "measured.h5").write_bytes(bytes(1 << 16))
    yield room_kb
    for name in room_kb:
        cluster.said("umount", "--lazy", cluster.folder / "homes" / name)


def test_a_home_that_is_full_before_or_after_the_start_is_said(
    slurm_portal: RunningPortal, cluster: Cluster, small_homes: dict[str, int]
) -> None:
    clients = {name: slurm_portal.login(name) for name in small_homes}
    for client in clients.values():
        begin(client, size="small")
    for name, client in clients.items():
        page = wait_for_page(client, pending(name), "disk that holds your files is full")
        assert "No space left on device" in page
        wait_until(lambda: cluster.job_of(name) == "", "the end of the job")  # noqa: B023


def test_only_people_with_an_account_get_jobs(slurm_portal: RunningPortal) -> None:
    root = slurm_portal.login("root")
    begin(root, size="small")
    wait_for_page(root, pending("root"), "belongs to a service")
    for name in ("daemon", "zoe"):
        page = slurm_portal.login(name).get("/hub/open/pyfai").text
        assert "Slurm knows no account that you could start jobs with" in page


HOSTILE = {
    "partition": "x\n#SBATCH --uid=0",
    "cmd": "touch /tmp/beamhub-hostile",
    "batch_script": "#!/bin/sh\ntouch /tmp/beamhub-hostile",
    "prologue": "touch /tmp/beamhub-hostile",
    "size": "small\ntouch /tmp/beamhub-hostile",
    "notebook": "'; touch /tmp/beamhub-hostile; '",
    "homedir": "/root",
}


@pytest.mark.parametrize("option", HOSTILE)
def test_no_option_reaches_the_script(
    slurm_portal: RunningPortal, cluster: Cluster, token: str, option: str
) -> None:
    client = slurm_portal.login("eve")
    values = {option: HOSTILE[option]}
    assert begin(client, **values).status_code in (400, 404)
    page = client.get("/hub/open/pyfai", params=values)
    # A link may have options of others' on it, which count for nothing.
    assert page.status_code in (400, 404) or str(HOSTILE[option]) not in unquote(page.text)
    api = "/hub/api/users/eve/servers/pyfai"
    headers = {"Authorization": f"token {token}"}
    answer = client.post(api, headers=headers, json=values)
    assert answer.status_code in (202, 400, 404), answer.text
    time.sleep(1)
    assert cluster.job_of("eve") == ""
    assert not Path("/tmp/beamhub-hostile").exists()


@pytest.mark.parametrize("server", ["..", "x;id", "$(id)", "pyfai\n#SBATCH", "-u root"])
def test_no_name_of_a_server_reaches_it(
    slurm_portal: RunningPortal, cluster: Cluster, token: str, server: str
) -> None:
    client = slurm_portal.login("eve")
    url = f"/hub/api/users/eve/servers/{quote(server, safe='')}"
    answer = client.post(url, headers={"Authorization": f"token {token}"})
    assert answer.status_code >= 400
    assert cluster.job_of("eve") == ""


def test_a_job_can_tell_that_it_listens_and_nothing_else(
    slurm_portal: RunningPortal, cluster: Cluster, token: str, full: str
) -> None:
    client = slurm_portal.login("eve")
    begin(client, size="small")
    wait_until(lambda: cluster.job_of("eve"), "the job")
    number = cluster.job_of("eve")
    mine = {"Authorization": f"token {token}"}
    own = "/hub/api/beamhub/jobs/eve/pyfai"
    bad = [{"job_id": "1; touch /tmp/beamhub-hostile"}, {"port": 8888}, {"listening": "yes"}, [], 1]
    assert {client.post(own, headers=mine, json=body).status_code for body in bad} == {400}
    stock = client.post("/hub/api/batchspawner", headers=mine, json={"job_id": "1; id"})
    assert stock.status_code == 404
    assert client.post("/hub/api/beamhub/jobs/ada/pyfai", headers=mine, json={}).status_code == 404
    nobody = httpx.post(f"{slurm_portal.url}{own}", json={"listening": True})
    assert nobody.status_code == 403
    slurm_portal.stop_server(client, "pyfai")
    assert cluster.state(number) == "CANCELLED"


def test_the_secret_of_a_server_is_its_users_alone(
    slurm_portal: RunningPortal, cluster: Cluster
) -> None:
    client = slurm_portal.login("ada")
    slurm_portal.start_server(client, "pyfai", size="small")
    code = "import os; print(os.environ['JUPYTERHUB_API_TOKEN'])"
    secret = Kernel(slurm_portal, client, "/user/ada/pyfai/").run(code).strip()
    assert len(secret) == 32
    number = cluster.job_of("ada")
    shown = cluster.said("scontrol", "-dd", "show", "job", number)
    shown += cluster.said("sacct", "-X", "-j", number, "--format=ALL%500")
    shown += subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True).stdout
    assert secret not in shown + slurm_portal.log()
    for path in cluster.folder.glob(f"spool-*/job{int(number):05}/slurm_script"):
        assert secret in path.read_text()
        as_eve = ["setpriv", "--reuid=eve", "--regid=eve", "--clear-groups"]
        seen = subprocess.run([*as_eve, "cat", path], capture_output=True, text=True)
        assert "Permission denied" in seen.stderr
        asked = ["scontrol", "write", "batch_script", number, "-"]
        written = subprocess.run(
            [*as_eve, *asked], capture_output=True, text=True, env=cluster.environment
        )
        assert "Invalid user id" in written.stderr
        assert secret not in written.stdout
    slurm_portal.stop_server(client, "pyfai")


def test_the_sudo_rule_allows_these_two_commands_for_people_only(cluster: Cluster) -> None:
    as_hub = ["setpriv", f"--reuid={HUB}", f"--regid={HUB}", "--init-groups", "sudo", "-n"]
    refused = [
        ["id"],
        ["-u", "ada", "id"],
        ["-u", "root", "sbatch", "--parsable"],
        ["-u", "ada", "sbatch", "--parsable", "/etc/passwd"],
        ["-u", "ada", "sbatch", "--wrap", "id"],
        ["-u", "ada", "scancel", "--user=ada"],
    ]
    for command in refused:
        done = subprocess.run([*as_hub, *command], capture_output=True, text=True, input="")
        assert done.returncode != 0, command
        assert re.search("password is required|not allowed", done.stderr), done.stderr


def test_check_is_green_or_says_line_by_line_what_is_missing(
    slurm_portal: RunningPortal, cluster: Cluster
) -> None:
    good = cluster.check(HUB, {})
    assert "All is well" in good.stdout, good.stdout + good.stderr
    for where in ({"account": "nonesuch"}, {"partition": "nonesuch"}):
        said = cluster.check(HUB, {"by_size": {"small": where}}).stdout
        assert "sizes.small: no job of " in said
        assert "'nonesuch'" in said
    stranger = cluster.check("ada", {}).stdout
    assert "can't write into" in stranger
    assert "The account 'ada' may not start jobs for users. As root, write into" in stranger
