"""From click to JupyterLab: this portal beside a plain JupyterHub, in one run.

    .venv/bin/python benchmarks/start.py [--runs N] [--use-case pyfai]

Two real hubs run at once: BeamHub with the profile 'laptop', and JupyterHub with its stock
SimpleLocalProcessSpawner, which starts ``jupyterhub-singleuser`` of the very same environment.
They start and stop a server in turn, so the ratio tells what BeamHub's own steps cost: the plan,
the account, the limits, placing the tutorials. The clock runs from the click, whose request may
itself wait for the start. Seconds drift with the machine's load; ratios are what to compare.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/real"))
from portals import RunningPortal, free_port, xsrf

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
STOCK = """
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.ConfigurableHTTPProxy.command = {proxy}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/{{username}}"
c.Spawner.cmd = ["{environment}/bin/jupyterhub-singleuser"]
c.Spawner.args = {args}
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0}}
"""


def seconds_until_ready(client: httpx.Client, server: str, clicked: float) -> float:
    """Return the seconds from a click until the server itself answers."""
    while time.monotonic() - clicked < 600:
        answer = client.get(f"{server}api", follow_redirects=False)
        if answer.status_code == 200 and "version" in answer.text:
            return time.monotonic() - clicked
        time.sleep(0.05)
    raise SystemExit(f"{server} did not start")


def start_ours(client: httpx.Client, use_case: str) -> float:
    token = xsrf(client.get(f"/hub/open/{use_case}").text)
    clicked = time.monotonic()
    client.post(f"/hub/open/{use_case}", data={"_xsrf": token}, follow_redirects=False)
    seconds = seconds_until_ready(client, f"/user/ada/{use_case}/", clicked)
    token = xsrf(client.get(f"/hub/stop/{use_case}").text)
    client.post(f"/hub/stop/{use_case}", data={"_xsrf": token})
    return seconds


def start_stock(client: httpx.Client) -> float:
    clicked = time.monotonic()
    client.get("/hub/spawn/ada", follow_redirects=False)
    seconds = seconds_until_ready(client, "/user/ada/", clicked)
    token = re.search(r'xsrf_token: "([^"]+)"', client.get("/hub/home").text)
    assert token
    client.delete("/hub/api/users/ada/server", headers={"X-XSRFToken": token[1]})
    return seconds


def stock_hub(
    template: str, folder: Path, port: int, *, prefix: tuple[str, ...] = (), **names: object
) -> subprocess.Popen[bytes]:
    """Start a plain JupyterHub by a template of its configuration."""
    from hub.proxy import proxy_command

    ports = {"port": port, "hub": port + 81, "api": port + 1}
    config = folder / "jupyterhub_config.py"
    config.write_text(template.format(folder=folder, proxy=proxy_command(), **ports, **names))
    program = str(Path(sys.executable).with_name("jupyterhub"))
    return subprocess.Popen([*prefix, program, "-f", str(config)], cwd=folder, **QUIET)


def stock_client(port: int) -> httpx.Client:
    """Return a client that has logged in to the plain hub."""
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True, timeout=60)
    client.headers["Sec-Fetch-Mode"] = "navigate"
    for _ in range(100):
        try:
            page = client.get("/hub/login")
            page.raise_for_status()
            break
        except httpx.HTTPError:
            time.sleep(0.2)
    form = {"username": "ada", "password": "x", "_xsrf": xsrf(page.text)}
    client.post("/hub/login?next=/hub/home", data=form)
    return client


def main(runs: int, use_case: str) -> None:
    state = Path(tempfile.mkdtemp(prefix="beamhub-bench-"))
    state.chmod(0o711)
    portal = RunningPortal(state)
    stock = None
    try:
        ada = portal.login("ada")
        first = start_ours(ada, use_case)
        environment = next(p for p in (state / "environments").iterdir() if p.is_dir())
        port = free_port()
        args = ["--allow-root"] if os.geteuid() == 0 else []
        stock = stock_hub(STOCK, state, port, environment=environment, args=args)
        plain = stock_client(port)
        start_stock(plain)
        print(f"first start, environment made: {first:6.1f} s")
        compare(ada, plain, use_case, runs)
    finally:
        portal.stop()
        end(stock)
        shutil.rmtree(state, ignore_errors=True)


def compare(ada: httpx.Client, plain: httpx.Client, use_case: str, runs: int) -> None:
    """Start a server here and there in turn, and print what that takes."""
    rows = [(start_ours(ada, use_case), start_stock(plain)) for _ in range(runs)]
    ours, theirs = zip(*rows, strict=True)
    ratios = [a / b for a, b in rows]
    print(f"BeamHub:                       {statistics.median(ours):6.2f} s, median of {runs}")
    print(f"plain JupyterHub:              {statistics.median(theirs):6.2f} s")
    print(f"ratio, pair by pair:           {statistics.median(ratios):6.2f}", end="")
    print(f" ({min(ratios):.2f} to {max(ratios):.2f})")


def end(hub: subprocess.Popen[bytes] | None) -> None:
    """End a hub, if it was begun."""
    if hub:
        hub.terminate()
        hub.wait(60)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--use-case", default="pyfai")
    given = parser.parse_args()
    main(given.runs, given.use_case)
