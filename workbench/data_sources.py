"""The kinds of source that a data set can have, and what each means to those who use it.

How files come from one is told by `workbench.data`: `availability.offer` says what would serve a
data set, `fetch_job.Fetch` brings it.
"""

from dataclasses import dataclass
from typing import Literal

SourceName = Literal["download", "package", "simulated"]


@dataclass(frozen=True)
class SourceKind:
    """What one kind of source is.

    Parameters
    ----------
    needs : tuple of str
        The keys of a manifest's data set without which it can't be used.
    otherwise : str
        What somebody is told who left one of them out.
    origin : str
        Where such data are from, in words; ``{seed}`` is filled in.
    seeded : bool
        Whether files are made from a seed, so that another seed gives other files.
    installed : bool
        Whether the server's own software brings the files, so that only a server finds them.
    published : bool
        Whether a publisher offers the files, so that they are fetched and can be mirrored.
    """

    needs: tuple[str, ...]
    otherwise: str
    origin: str
    seeded: bool = False
    installed: bool = False
    published: bool = False


SOURCES: dict[SourceName, SourceKind] = {
    "download": SourceKind(
        needs=("files",),
        otherwise="a data set to download needs 'files'",
        origin="measured",
        published=True,
    ),
    "package": SourceKind(
        needs=("package", "files"),
        otherwise="say in 'package' which package ships this data set, and its 'files'",
        origin="from an installed package",
        installed=True,
    ),
    "simulated": SourceKind(
        needs=("generator", "makes"),
        otherwise="say in 'generator' what simulates this data set, and what it 'makes'",
        origin="simulated from seed {seed}",
        seeded=True,
    ),
}
