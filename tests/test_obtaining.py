"""Images that aren't there: which way is taken, and what is told meanwhile."""

import asyncio
import sys

import pytest

from spawners.obtaining import (
    LAST,
    ObtainingError,
    obtain,
    progress_of,
    pull_failed,
    split,
    with_event,
)

BY_TAG = "registry.test:5000/beamhub/pyfai:1.0.0"
BY_DIGEST = f"registry.test:5000/beamhub/pyfai@sha256:{'a' * 64}"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def obtained(image: str, ways: list[str], command: list[str], people: int = 1) -> list[list]:
    """Return what each of several people is told who want an image at the same time."""

    async def all_of_them():
        told = [[] for _ in range(people)]
        wishes = [
            obtain(None, image, ways, command, lambda *said, mine=mine: mine.append(said))
            for mine in told
        ]
        await asyncio.gather(*wishes)
        return told

    return asyncio.run(all_of_them())


def test_a_reference_is_taken_apart():
    assert split(BY_TAG) == ("registry.test:5000/beamhub/pyfai", "1.0.0")
    assert split(BY_DIGEST) == ("registry.test:5000/beamhub/pyfai", f"sha256:{'a' * 64}")


def test_building_is_told_line_by_line_and_never_goes_back():
    [told] = obtained(BY_TAG, ["build"], python("for i in range(9): print('step', i)"))
    assert [said[2] for said in told[1:]] == [f"step {i}" for i in range(9)]
    percents = [said[0] for said in told]
    assert percents == sorted(percents)
    assert percents[-1] <= LAST


def test_people_who_wait_for_one_image_wait_for_one_work(tmp_path):
    count = tmp_path / "count"
    code = f"import time; open({str(count)!r}, 'a').write('x'); time.sleep(0.5); print('done')"
    told = obtained(BY_TAG, ["build"], python(code), people=5)
    assert count.read_text() == "x"
    assert all(mine[-1][2] == "done" for mine in told)


def test_a_build_that_fails_says_its_last_words_and_keeps_the_rest():
    code = "print('first'); print('g++ is missing'); raise SystemExit(1)"
    with pytest.raises(
        ObtainingError, match="could not be built here: g\\+\\+ is missing"
    ) as error:
        obtained(BY_TAG, ["build"], python(code))
    assert error.value.log == "first\ng++ is missing"


def test_a_full_disk_is_called_so():
    code = "print('write /x: no space left on device'); raise SystemExit(1)"
    with pytest.raises(ObtainingError, match="the disk is full"):
        obtained(BY_TAG, ["build"], python(code))


def test_what_a_digest_names_is_never_built():
    with pytest.raises(ObtainingError, match="is not on this machine"):
        obtained(BY_DIGEST, ["build"], python("print('another image')"))


def test_whoever_gives_up_does_not_end_the_others_wait():
    async def first_gives_up():
        command = python("import time; time.sleep(0.7)")
        first = asyncio.create_task(obtain(None, BY_TAG, ["build"], command, lambda *_: None))
        second = asyncio.create_task(obtain(None, BY_TAG, ["build"], command, lambda *_: None))
        await asyncio.sleep(0.2)
        first.cancel()
        await second
        return first.cancelled()

    assert asyncio.run(first_gives_up())


def test_fetching_is_told_in_megabytes():
    events = [
        {"status": "Pulling from beamhub/pyfai", "id": "1.0.0"},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 10e6, "total": 40e6}},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 30e6, "total": 60e6}},
    ]
    layers = {}
    for event in events:
        layers = with_event(layers, event)
    assert progress_of({})[1].startswith("Fetching the software")
    assert progress_of(layers) == (35, "Fetching the software: 40 of 100 MB")
    for name in "ab":
        layers = with_event(layers, {"status": "Download complete", "id": name})
    assert progress_of(layers) == (LAST, "Unpacking the software of this use case")


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("manifest for x not found: manifest unknown", "doesn't have it"),
        ("pull access denied, repository does not exist", "doesn't have it"),
        ("write /var/lib/docker/tmp: no space left on device", "disk is full"),
        ("dial tcp 127.0.0.1:9: connect: connection refused", "could not be reached"),
    ],
)
def test_why_fetching_failed(why, words):
    assert words in pull_failed(why)
