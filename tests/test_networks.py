"""Which addresses a user's network gets."""

from ipaddress import IPv4Network

import pytest

from spawners.networks import NetworkError, free_subnet, hub_address

ADDRESSES = IPv4Network("10.213.0.0/16")


def network(*subnets: str | None) -> dict:
    return {"IPAM": {"Config": [{"Subnet": subnet} for subnet in subnets]}}


def test_the_hub_is_at_the_first_address():
    assert hub_address(ADDRESSES) == "10.213.0.1"


def test_the_hubs_own_part_is_never_given_away():
    assert free_subnet(ADDRESSES, []) == IPv4Network("10.213.0.16/28")


def test_parts_that_overlap_with_any_network_are_passed_over():
    taken = [
        network("10.213.0.0/27"),
        network("10.213.0.64/26", "fd00::/64"),
        network(None),
        {"IPAM": {"Config": None}},
        {},
    ]
    assert free_subnet(ADDRESSES, taken) == IPv4Network("10.213.0.32/28")


def test_what_is_given_back_is_given_again():
    parts = list(ADDRESSES.subnets(new_prefix=28))
    taken = [network(str(part)) for part in parts[1:40] if part != parts[7]]
    assert free_subnet(ADDRESSES, taken) == parts[7]


def test_no_address_left_says_where_more_come_from():
    with pytest.raises(NetworkError, match=r"backend\.addresses"):
        free_subnet(ADDRESSES, [network("10.0.0.0/8")])
