"""A container that plays a machine of Debian trixie: Slurm 24.11, Python 3.13, Apptainer."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from portals import ROOT

from hub.images.context import PROXIES, build_secrets, passed_variables

DOCKERFILE = Path(__file__).with_name("trixie") / "Dockerfile"
IMAGE = "beamhub-test-trixie"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
RIGHTS = (
    # Slurm looks up the names of addresses, and nodes reach no name server.
    "--dns-option=timeout:1",
    "--dns-option=attempts:1",
    # What Apptainer wants of a container: mounts, FUSE, a whole /proc.
    "--cap-add=SYS_ADMIN",
    "--device=/dev/fuse",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
    # What a cluster with addresses of its own wants.
    "--cap-add=NET_ADMIN",
)
UNAVAILABLE = re.compile(
    r"Unable to locate package|has no installation candidate|unmet dependencies|Failed to fetch"
    r"|Temporary failure resolving|does not have a Release file|404 +Not Found"
)


class BuildError(Exception):
    """The machine's image can't be made; the text is what the build said last."""


def build(*target: str) -> None:
    """Make the machine's image, up to a stage."""
    bundle = CERTIFICATES if CERTIFICATES.exists() else None
    with build_secrets(bundle) as secrets:
        command = ["docker", "build", "--progress=plain", f"--file={DOCKERFILE}", f"--tag={IMAGE}"]
        command += [f"--secret=id={name},src={path}" for name, path in secrets.items()]
        command += [f"--build-arg={name}" for name in passed_variables(os.environ)]
        done = subprocess.run(
            [*command, *target, str(ROOT)],
            capture_output=True,
            text=True,
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
        )
    if done.returncode:
        raise BuildError(done.stderr[-3000:])


@dataclass
class Machine:
    """A running container, with this checkout at /beamhub and Docker's socket.

    Parameters
    ----------
    lacks : str
        Why it has no Apptainer, empty where it has.
    """

    lacks: str = ""
    name: str = f"{IMAGE}-{os.getpid()}"

    def start(self) -> None:
        """Make it, without Apptainer where Debian's mirror doesn't hand that out, and start it."""
        try:
            build()
        except BuildError as error:
            if not UNAVAILABLE.search(str(error)):
                raise
            build("--target=slurm")
            self.lacks = f"Debian sid's apptainer can't be had: {str(error)[-500:]}"
        kept = Path(os.environ.get("BEAMHUB_CACHE", "/var/cache/beamhub")) / "trixie"
        kept.mkdir(parents=True, exist_ok=True)
        socket = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        places = {
            ROOT: "/beamhub:ro",
            kept: "/cache",
            Path(socket.removeprefix("unix://")): "/var/run/docker.sock",
        }
        if CERTIFICATES.exists():
            places[CERTIFICATES] = f"{CERTIFICATES}:ro"
        mounts = [f"--volume={source}:{target}" for source, target in places.items()]
        command = ["docker", "run", "--detach", "--rm", f"--name={self.name}"]
        # A shell, unlike sleep, buries what daemons leave.
        self.said(*command, *RIGHTS, *mounts, IMAGE, "bash", "-c", "sleep 7200 & wait")
        self.run("chmod", "666", "/dev/fuse")

    def stop(self) -> None:
        """End it, with all that runs in it."""
        subprocess.run(["docker", "rm", "--force", self.name], capture_output=True)

    def run(self, *command: str) -> str:
        """Return what a command says on the machine."""
        return self.said("docker", "exec", self.name, *command)

    def said(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def pytest(self, *arguments: str) -> dict[str, list[ElementTree.Element]]:
        """Run tests on the machine, and return what is told of each, by the test's module."""
        passed = ("UV_DEFAULT_INDEX", *PROXIES, *(name.lower() for name in PROXIES))
        variables = {
            "BEAMHUB_CACHE": "/cache",
            "BEAMHUB_TEST_ALL": "1",
            # Neither the checkout nor /tmp, which servers see, is the place for what tests make.
            "TMPDIR": "/var/lib/tests",
            "UV_SYSTEM_CERTS": "1",
            **{name: os.environ[name] for name in passed if name in os.environ},
        }
        options = [f"--env={name}={value}" for name, value in variables.items()]
        self.run("install", "-d", "-m", "1777", "/var/lib/tests")
        report = "/var/lib/tests/report.xml"
        subprocess.run(
            [
                *("docker", "exec", "--workdir=/beamhub", *options, self.name),
                *("pytest", "-p", "no:cacheprovider", f"--junitxml={report}", *arguments),
            ]
        )
        found: dict[str, list[ElementTree.Element]] = {}
        for case in ElementTree.fromstring(self.run("cat", report)).iter("testcase"):
            module = case.attrib["classname"].rpartition(".")[2]
            found.setdefault(module, []).append(case)
        return found
