"""From click to JupyterLab in a container: this portal beside a plain JupyterHub, in one run.

    .venv/bin/python benchmarks/containers.py [--runs N] [--use-case pyfai]

Two real hubs run at once: BeamHub with the profile 'workstation', and JupyterHub with its stock
DockerSpawner on Docker's own bridge, which starts the very same image. They start and stop a
server in turn, so the ratio tells what BeamHub's own steps cost: the user's network and volume, the
routes that close ways, the checks. Needs a Docker daemon, and takes away what it made.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from ipaddress import IPv4Network
from pathlib import Path

from start import compare, end, start_stock, stock_client, stock_hub

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/real"))
from conftest import remove_all_of
from portals import BEAMHUB, RunningPortal, free_port

PREFIX = "bhbench"
STOCK = """
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://{bridge}:{hub}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.ConfigurableHTTPProxy.command = {proxy}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.image = "{image}"
c.DockerSpawner.prefix = "{prefix}-stock"
c.DockerSpawner.network_name = "bridge"
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.remove = True
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0}}
"""


def bridge() -> str:
    """Return this machine's address in Docker's own network."""
    about = subprocess.check_output(["docker", "network", "inspect", "bridge"])
    return str(IPv4Network(json.loads(about)[0]["IPAM"]["Config"][0]["Subnet"])[1])


def main(runs: int, use_case: str) -> None:
    state = Path(tempfile.mkdtemp(prefix="beamhub-bench-"))
    state.chmod(0o711)
    site = state.with_suffix(".yaml")
    site.write_text(
        "extends: workstation\nlogin: {kind: codes}\n"
        f"backend: {{kind: docker, prefix: {PREFIX}, addresses: 10.249.0.0/16}}\n"
    )
    (state / "lock").touch()
    subprocess.run([BEAMHUB, "images", "build", use_case, f"--site={site}", f"--state={state}"])
    portal = RunningPortal(state, str(site))
    stock = None
    try:
        ada = portal.login("ada")
        began = time.monotonic()
        portal.start_server(ada, use_case)
        first = time.monotonic() - began
        image = subprocess.check_output(
            ["docker", "inspect", "--format={{.Config.Image}}", f"{PREFIX}-ada--{use_case}"],
            text=True,
        ).strip()
        portal.stop_server(ada, use_case)
        port = free_port()
        names = {"bridge": bridge(), "image": image, "prefix": PREFIX}
        stock = stock_hub(STOCK, state, port, **names)
        plain = stock_client(port)
        start_stock(plain)
        print(f"first start, image here:       {first:6.2f} s")
        compare(ada, plain, use_case, runs)
    finally:
        portal.stop()
        end(stock)
        remove_all_of(PREFIX)
        site.unlink()
        shutil.rmtree(state, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--use-case", default="pyfai")
    given = parser.parse_args()
    main(given.runs, given.use_case)
