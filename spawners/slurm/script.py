"""The batch script of a server: a readable template, and the only ways into it."""

import base64
import json
import re
import shlex
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from jinja2 import Environment, StrictUndefined, Template

TEMPLATE = Path(__file__).with_name("job.sh.j2")
DIRECTIVE = re.compile(r"[A-Za-z0-9_.:@+&|()\[\]*-]*")
"""What may stand behind ``#SBATCH --x=``: no space, so no second option, and no quote."""
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ASK = """\
import socket, ssl, sys
host, port = sys.argv[1].split(":")
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.load_verify_locations(cadata=sys.argv[2])
with context.wrap_socket(socket.create_connection((host, int(port)))) as portal:
    portal.sendall(sys.stdin.buffer.read())
    print(portal.makefile().readline())
"""
"""What a node's own Python runs, however old, where there is no openssl."""
HOME = "--home=$home"
"""The one argument that the node completes: only it knows for certain where a user's home is."""


class Need(NamedTuple):
    """A command that has to succeed in the job's shell before its server begins.

    Parameters
    ----------
    command : tuple of str
        The command with its arguments; one of the shell's own may change the shell.
    otherwise : str
        What the server's user is told where it fails.
    """

    command: tuple[str, ...]
    otherwise: str


def job_name(*parts: str) -> str:
    """Return a job's name, for those who look at the queue."""
    return "-".join(["beamhub", *parts])


class ScriptError(Exception):
    """A value can't go into a batch script."""


def job_script(
    requests: Mapping[str, str],
    *,
    command: Iterable[str],
    variables: Mapping[str, str],
    prefix: str = "",
    needs: Iterable[Need] = (),
    prologue: str,
    exclusive: bool,
    tunnel: str = "",
) -> str:
    """Return the batch script of a server.

    Parameters
    ----------
    requests : mapping
        What stands behind ``#SBATCH``, by the names in the template.
    command : iterable of str
        The program to run, with its arguments.
    variables : mapping
        The environment, secrets included: only the job's user and root can read its script.
    prefix : str
        What a container wants before the names of variables.
    needs : iterable of Need
        What has to be on the node; the first that fails is told to the portal, and ends the job.
    prologue : str
        Shell lines of the site, as its administrator wrote them.
    exclusive : bool
        Whether the job has its node for itself.
    tunnel : str
        How to dial in at the portal, see `spawners.tunnels.Tunnels.told`.

    Raises
    ------
    ScriptError
        A request or the name of a variable could be read as something else.
    """
    refuse_unsafe(requests, variables)
    told: dict[str, Any] = {
        **requests,
        "variables": variables,
        "portal": way_back(variables, tunnel),
    }
    return template().render(
        **told,
        command=command,
        prefix=prefix,
        needs=list(needs),
        prologue=prologue,
        exclusive=exclusive,
    )


def refuse_unsafe(requests: Mapping[str, str], variables: Iterable[str]) -> None:
    """Refuse what the template can't quote: values behind ``#SBATCH``, names of variables.

    Raises
    ------
    ScriptError
        One could be read as something else.
    """
    for name, value in requests.items():
        if not DIRECTIVE.fullmatch(value):
            raise ScriptError(f"{name}: {value!r} can't stand in a batch script")
    for name in variables:
        if not VARIABLE.fullmatch(name):
            raise ScriptError(f"{name!r} isn't the name of a variable")


def template() -> Template:
    """Return the template, with the filters that quote for a shell."""
    # autoescape is for HTML.
    jinja = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701
    jinja.filters.update(quote=shlex.quote, words=words, json=json.dumps)
    return jinja.from_string(TEMPLATE.read_text(encoding="utf-8"))


def words(command: Iterable[str]) -> str:
    """Return a command as a shell reads it: every word as it is, but for the node's own `HOME`."""
    return " ".join('--home="$home"' if word == HOME else shlex.quote(word) for word in command)


def way_back(variables: Mapping[str, str], tunnel: str) -> dict[str, str] | None:
    """Return how a shell alone reaches the portal; None where it isn't told of one."""
    if not tunnel:
        return None
    user, server, token, api = (
        variables[f"JUPYTERHUB_{name}"] for name in ("USER", "SERVER_NAME", "API_TOKEN", "API_URL")
    )
    host, port, name, secret, certificate = tunnel.split()
    return {
        "address": f"{host}:{port}",
        "hello": f"hub {name} {secret}",
        "python": ASK,
        "certificate": ssl.DER_cert_to_PEM_cert(base64.b64decode(certificate)),
        "path": f"{urlsplit(api).path}/beamhub/jobs/{user}/{server}",
        "token": token,
    }
