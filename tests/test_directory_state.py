"""What directories say of accounts: also Active Directory, whose words no server here speaks."""

from datetime import UTC, datetime

import pytest

from hub.doors.directory_state import (
    DISABLED,
    EXPIRED,
    LOCKED,
    MUST_CHANGE,
    WORN_OUT,
    closed,
    refusal_of_bind,
)

NOW = datetime(2026, 11, 28, tzinfo=UTC)
SAYS = "80090308: LdapErr: DSID-0C09041C, comment: AcceptSecurityContext error, data {}, v4563"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("52e", ""),
        ("525", ""),
        ("532", WORN_OUT),
        ("533", DISABLED),
        ("701", EXPIRED),
        ("773", MUST_CHANGE),
        ("775", LOCKED),
        ("9999", ""),
    ],
)
def test_active_directory_tells_why_by_a_number(data, why):
    assert refusal_of_bind(SAYS.format(data), b"") == why


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", ""),
        (b"\x30\x00", ""),
        (b"\x30\x03\x81\x01\x01", LOCKED),
        (b"\x30\x03\x81\x01\x00", WORN_OUT),
        (b"\x30\x08\xa0\x03\x80\x01\x05\x81\x01\x02", MUST_CHANGE),
        (b"\x30\x05\xa0\x03\x80\x01\x01", ""),
        (b"\x30\x03\x81\x01\x07", ""),
        (b"\x81", ""),
        (b"\xff" * 40, ""),
    ],
)
def test_the_control_on_passwords_is_read_and_nonsense_says_nothing(value, why):
    assert refusal_of_bind("invalid credentials", value) == why


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({}, ""),
        ({"userAccountControl": [b"512"]}, ""),
        ({"userAccountControl": [b"514"]}, DISABLED),
        ({"userAccountControl": [b"66050"]}, DISABLED),
        ({"nsAccountLock": [b"TRUE"]}, DISABLED),
        ({"nsAccountLock": [b"false"]}, ""),
        ({"loginDisabled": [b"true"]}, DISABLED),
        ({"accountExpires": [b"0"]}, ""),
        ({"accountExpires": [b"9223372036854775807"]}, ""),
        ({"accountExpires": [b"9223372036854775806"]}, ""),
        ({"accountExpires": [b"131000000000000000"]}, EXPIRED),
        ({"shadowExpire": [b"-1"]}, ""),
        ({"shadowExpire": [b"0"]}, EXPIRED),
        ({"shadowExpire": [b"20785"]}, EXPIRED),
        ({"shadowExpire": [b"20786"]}, ""),
        ({"shadowExpire": [b"99999999999999999999"]}, ""),
        ({"shadowExpire": [b"soon"]}, ""),
        ({"pwdAccountLockedTime": [b"000001010000Z"]}, LOCKED),
        ({"pwdAccountLockedTime": [b"20261128113000Z"]}, ""),
        ({"pwdReset": [b"TRUE"]}, MUST_CHANGE),
    ],
)
def test_an_entry_says_whether_its_account_is_closed(entry, why):
    assert closed(entry, NOW) == why
