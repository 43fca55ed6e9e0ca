"""Build images: each after those that it needs, others at the same time."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from . import docker
from .commands import build_arguments, list_arguments
from .context import build_context
from .plan import Image, ImageError
from .record import LISTS, Made, note

Say = Callable[[str, str], None]
"""Takes an image's name and a sentence."""


@dataclass(frozen=True)
class Settings:
    """What all builds of one call have in common.

    Parameters
    ----------
    state : Path
        Where logs, lists and the record go.
    secrets : mapping of str to Path
        See `hub.images.context.build_secrets`.
    passed : tuple of str
        See `hub.images.context.passed_variables`.
    network : str
        Of the builds' commands: 'default' or 'host'.
    """

    state: Path
    secrets: Mapping[str, Path]
    passed: tuple[str, ...] = ()
    network: str = "default"


def build_all(images: Mapping[str, Image], settings: Settings, *, jobs: int, say: Say) -> None:
    """Build images, which hold all that they need, and note what was made.

    Parameters
    ----------
    images : mapping of str to Image
        By name.
    settings : Settings
        For all of them.
    jobs : int
        How many are built at the same time.
    say : callable
        Told of each step.

    Raises
    ------
    ImageError
        One failed. What runs already is finished, and nothing else begins.
    """
    lock = threading.Lock()

    def tell(name: str, text: str) -> None:
        with lock:
            say(name, text)

    order = TopologicalSorter({i.name: i.needs for i in images.values()})
    order.prepare()
    running: dict[Future[Made], str] = {}
    failures: list[str] = []
    with ThreadPoolExecutor(jobs) as pool:
        while order.is_active() and not (failures and not running):
            if not failures:
                for name in order.get_ready():
                    running[pool.submit(build_one, images[name], settings, tell)] = name
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                order.done(name)
                try:
                    note(settings.state, {images[name].reference: future.result()})
                except ImageError as error:
                    failures.append(f"{name}: {error}")
                    for waiting in [f for f in running if f.cancel()]:
                        del running[waiting]
    if failures:
        raise ImageError("\n".join(failures))


def build_one(image: Image, settings: Settings, say: Say) -> Made:
    """Build one image and return what it is.

    Raises
    ------
    ImageError
        The build failed.
    """
    began = time.monotonic()
    log = settings.state / "logs/images" / f"{image.name}.log"
    arguments = build_arguments(
        image, secrets=settings.secrets, passed=settings.passed, network=settings.network
    )
    with build_context(image) as folder:
        docker.build(arguments, folder, log, lambda text: say(image.name, text))
    made = docker.made(image.reference)
    if made is None:
        raise ImageError(f"Docker built {image.reference} but doesn't have it.")
    if image.published:
        keep_list(image, settings.state)
    say(image.name, f"{image.reference} is ready after {docker.seconds_since(began)}")
    return made


def keep_list(image: Image, state: Path) -> None:
    """Put an image's list of software beside the record."""
    path = state / LISTS / f"{image.name}.cdx.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(docker.said(*list_arguments(image)), encoding="utf-8")
