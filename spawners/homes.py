"""Users' homes: volumes of Docker, whose files belong to the user's own account number."""

import secrets
from dataclasses import dataclass
from typing import Any

from docker.errors import NotFound

from .asking import Daemon
from .docker import HOME
from .labels import MADE_LABEL, Owner
from .numbers import Numbers
from .people import People

SCRIPT = f'chown -R -h -P "$1" {HOME} && chmod 0700 {HOME}'
MEMORY_BYTES = 128 * 2**20
HAND_OVER_S = 1800


class HomeError(Exception):
    """A home can't be used; the text is for the user."""


@dataclass(frozen=True)
class Home:
    """A volume that is here.

    Parameters
    ----------
    name, made : str
        What it's called, and what tells it from others of that name; empty for one of an earlier
        version. Docker's own time of making is none: with version 20 it changes with the files.
    """

    name: str
    made: str


async def have_home(
    daemon: Daemon, name: str, image: str, owner: Owner, numbers: Numbers, people: People
) -> None:
    """Make sure that a user's volume is there, and its files are their own account's.

    Parameters
    ----------
    daemon : Daemon
        What has it.
    name : str
        Of the volume.
    image : str
        That of the server to start.
    owner : Owner
        Whose it is.
    numbers : Numbers
        The account's.
    people : People
        Where it's kept that this was done.

    Raises
    ------
    HomeError, NotOursError
        It can't be used.
    """
    home = await daemon.make(lambda client: ensure(client, name, owner))
    if await daemon.look(lambda _: people.home_is(name, home.made, numbers.uid)):
        return
    worker = await daemon.make(
        lambda client: begin_hand_over(client, image, home, str(numbers), owner)
    )
    try:
        await daemon.until(lambda client: handed_over(client, worker), HAND_OVER_S)
    except TimeoutError:
        raise HomeError(
            "Giving your files an account of their own took too long, so the server was not "
            "started. Nothing of yours is lost. Try again."
        ) from None
    finally:
        await daemon.remove(worker)
    await daemon.look(lambda _: people.note_home(name, home.made, numbers.uid))


def ensure(client: Any, name: str, owner: Owner) -> Home:
    """Return a user's volume, made where it isn't there.

    Raises
    ------
    NotOursError
        The volume of that name is another's.
    """
    try:
        about = client.inspect_volume(name)
    except NotFound:
        made = {MADE_LABEL: secrets.token_hex(8)}
        client.create_volume(name, labels={**owner.labels, **made})
        # Looked at again: somebody else may have made it meanwhile.
        about = client.inspect_volume(name)
    labels = about.get("Labels") or {}
    owner.require("volume", name, labels)
    return Home(name, labels.get(MADE_LABEL, ""))


def begin_hand_over(client: Any, image: str, home: Home, account: str, owner: Owner) -> str:
    """Start to give all files of a home to an account, and return the id of what does it.

    It's a container with the rights to do so, which sees the home and nothing else, and follows no
    link. A new home gets its first files from the image.

    Parameters
    ----------
    client : docker.APIClient
        The daemon's.
    image : str
        That of the server to start.
    home : Home
        While nothing uses it.
    account : str
        The numbers of user and group, ``1000:1000``.
    owner : Owner
        Whose it is.

    Raises
    ------
    HomeError
        It's in use.
    """
    if client.containers(filters={"volume": home.name}):
        raise HomeError(
            "Your files are about to get an account number of their own, which is done once and "
            "while none of your servers runs. Stop the others first, then start this one again."
        )
    made = client.create_container(
        image,
        entrypoint=["sh", "-euc", SCRIPT, "sh"],
        command=[account],
        user="0",
        working_dir="/",
        environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        labels=owner.labels,
        host_config=client.create_host_config(
            network_mode="none",
            cap_drop=["ALL"],
            cap_add=["CHOWN", "DAC_READ_SEARCH", "FOWNER"],
            security_opt=["no-new-privileges"],
            read_only=True,
            mem_limit=MEMORY_BYTES,
            memswap_limit=MEMORY_BYTES,
            pids_limit=16,
            mounts=[{"Type": "volume", "Source": home.name, "Target": HOME}],
            log_config={"Type": "json-file", "Config": {"max-size": "64k", "max-file": "1"}},
        ),
    )
    client.start(made["Id"])
    return str(made["Id"])


def handed_over(client: Any, worker: str) -> bool:
    """Return whether it is done.

    Raises
    ------
    HomeError
        It failed.
    """
    state = client.inspect_container(worker)["State"]
    if state["Running"]:
        return False
    if state["ExitCode"]:
        said = " ".join(client.logs(worker, tail=3).decode(errors="replace").split())
        raise HomeError(
            "Your files could not be given to the account of your servers, so the server was not "
            f"started. Nothing of yours is lost. {said[:200]}"
        )
    return True
