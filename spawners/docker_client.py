"""Docker's client, and what it raises where nobody answers."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import docker
from docker.errors import DockerException
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException

SILENT = (DockerException, RequestException)
"""The daemon doesn't answer; its refusals are `docker.errors.APIError`, which is one of them."""


@contextmanager
def connected() -> Iterator[docker.APIClient]:
    """Yield a client of the daemon that the environment names, else of this machine's.

    Raises
    ------
    DockerException
        It doesn't answer.
    """
    with closing(docker.APIClient(version="auto", **kwargs_from_env())) as client:
        yield client
