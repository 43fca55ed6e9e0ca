"""What a portal has handed to Slurm: written down before it's asked, kept until it has ended.

By this record, and by nothing that Slurm prints of a job's texts, a portal knows its own jobs.
"""

import logging
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, ValidationError

from ..launch import Declared
from ..records import write_private
from .script import job_name

LOG = logging.getLogger(__name__)
FOLDER = "submissions"


class Submission(Declared):
    """One job that was handed to Slurm, or was about to be.

    Parameters
    ----------
    mark : str
        A random one, which its name ends in: so it's found if sbatch never told its number.
    owner : str
        The account under which it was submitted.
    server : str
        The name of the server.
    at : float
        When, in seconds since 1970.
    job : str
        Its number, empty while that isn't known.
    """

    mark: str = Field(pattern=r"^[0-9a-f]{16}$")
    owner: str
    server: str
    at: float
    job: str = Field("", pattern=r"^[0-9]*$")

    @property
    def name(self) -> str:
        """The job's name."""
        return job_name(self.server, self.mark)


class Submissions:
    """The record, a small file each.

    Parameters
    ----------
    state : Path
        The portal's state folder.
    """

    def __init__(self, state: Path) -> None:
        self.folder = state / FOLDER

    def begin(self, owner: str, server: str) -> Submission:
        """Write down that a job is about to be submitted, and return what tells it."""
        return self._keep(
            Submission(mark=secrets.token_hex(8), owner=owner, server=server, at=time.time())
        )

    def number(self, submission: Submission, job: str) -> None:
        """Write down the number that Slurm gave a job."""
        self._keep(submission.model_copy(update={"job": job}))

    def forget(self, mark: str) -> None:
        """Strike out a job that is no longer there."""
        self._path(mark).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[Submission]:
        for path in sorted(self.folder.glob("*.json")):
            try:
                yield Submission.model_validate_json(path.read_bytes())
            except (OSError, ValidationError) as error:
                LOG.warning("%s can't be read as a submission: %s", path, error)

    def _keep(self, submission: Submission) -> Submission:
        write_private(self._path(submission.mark), submission.model_dump_json())
        return submission

    def _path(self, mark: str) -> Path:
        return self.folder / f"{mark}.json"
