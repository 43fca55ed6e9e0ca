"""Which ways out of a container's network are closed, and where that is tried."""

from ipaddress import IPv4Address, IPv4Network

from spawners.docker import METADATA
from spawners.shield import addresses_closed, rules

OWN = IPv4Network("10.213.0.16/28")


def test_what_stays_open_comes_before_what_is_closed():
    assert rules(OWN, "10.213.0.1", ["0.0.0.0/0"]) == [
        "to 10.213.0.16/28 lookup main",
        "to 10.213.0.1/32 lookup main",
        "to 0.0.0.0/0 unreachable",
    ]
    assert rules(OWN, "", []) == ["to 10.213.0.16/28 lookup main"]


def test_clouds_metadata_is_tried_by_its_addresses():
    tried = addresses_closed(map(str, METADATA), [OWN])
    assert {"169.254.169.254", "169.254.170.2", "100.100.100.200"} <= set(tried)


def test_everything_is_tried_but_what_stays_open():
    tried = [IPv4Address(a) for a in addresses_closed(["0.0.0.0/0", str(OWN), "127.0.0.1"], [OWN])]
    assert IPv4Address("168.63.129.16") in tried
    assert not [a for a in tried if a in OWN or a.is_loopback or not int(a) or a.is_multicast]
