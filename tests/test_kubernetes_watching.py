"""What is kept of what a cluster tells: a portal's pods, and events that somebody waits for."""

from typing import Any

from spawners.kubernetes.watching import EVENTS_KEPT, GONE_KEPT, Events, Pods


def pod(name: str, version: str = "1") -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": version}}


def event(name: str, number: int) -> dict[str, Any]:
    return {"metadata": {"name": f"e{number}"}, "involvedObject": {"name": name}, "count": number}


async def ask(**_: Any) -> None:
    raise AssertionError("nothing is asked here")


def test_pods_are_those_of_the_last_list_and_of_the_changes_since():
    pods = Pods(ask, "beamhub", {})
    pods._begin([pod("a"), pod("b")])
    pods._take("MODIFIED", pod("b", "2"))
    pods._take("ADDED", pod("c"))
    pods._take("DELETED", pod("a", "3"))
    assert {name: p["metadata"]["resourceVersion"] for name, p in pods.now.items()} == {
        "b": "2",
        "c": "1",
    }
    # Why it ended is told by what was seen of it last.
    assert pods.last("a") == pod("a", "3")
    pods._begin([pod("c")])
    assert pods.last("b") == pod("b", "2")
    assert pods.last("nobody") == {}


def test_pods_that_are_gone_are_not_kept_for_ever():
    pods = Pods(ask, "beamhub", {})
    for number in range(3 * GONE_KEPT):
        pods._take("DELETED", pod(f"p{number}"))
    assert not pods.last("p0")
    assert sum(bool(pods.last(f"p{n}")) for n in range(3 * GONE_KEPT)) == GONE_KEPT


def test_tens_of_thousands_of_events_leave_only_those_that_somebody_waits_for():
    events = Events(ask, "beamhub", {})
    events.want("beamhub-ada--pyfai")
    for number in range(35_000):
        events._take("ADDED", event(f"other-{number}", number))
    for number in range(2 * EVENTS_KEPT):
        events._take("ADDED", event("beamhub-ada--pyfai", number))
    found = [e["count"] for e in events.of("beamhub-ada--pyfai")]
    assert found == list(range(EVENTS_KEPT, 2 * EVENTS_KEPT))
    events.forget("beamhub-ada--pyfai")
    assert not list(events.of("beamhub-ada--pyfai"))
    assert not list(events.of("other-1"))
