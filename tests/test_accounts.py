"""System accounts of the local backend: real ones where the tests run as root."""

import os
import pwd
import re
import stat
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jupyterhub.slugs import safe_slug

from spawners.accounts import account_for, own_account, own_name
from spawners.system_accounts import AccountError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes accounts, which only root can do")
no_root = pytest.mark.skipif(os.geteuid() == 0, reason="is about portals of ordinary accounts")


@pytest.fixture
def new_accounts():
    """Take away every account that a test made."""
    before = {entry.pw_name for entry in pwd.getpwall()}
    yield
    for entry in pwd.getpwall():
        if entry.pw_name not in before and re.match(r"bh-[0-9a-f]{6}-test-", entry.pw_name):
            subprocess.run(["userdel", entry.pw_name], check=True, capture_output=True)


@pytest.fixture
def homes(tmp_path):
    return tmp_path / "homes"


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@needs_root
def test_each_user_gets_an_account_and_a_private_home(homes, new_accounts):
    ada, bob = (
        account_for(f"test-{name}-{os.getpid()}", "portal", homes) for name in ("ada", "bob")
    )
    assert re.fullmatch(r"bh-[0-9a-f]{6}-test-ada[a-z0-9-]*", ada.name)
    assert len(ada.name) <= 32
    assert len({ada.name, bob.name}) == len({ada.uid, bob.uid}) == len({ada.home, bob.home}) == 2
    for account in (ada, bob):
        entry = pwd.getpwnam(account.name)
        assert (entry.pw_uid, entry.pw_gid) == (account.uid, account.gid)
        assert entry.pw_uid >= 1000
        assert entry.pw_shell == "/usr/sbin/nologin"
        assert entry.pw_dir == str(account.home)
        assert mode(account.home) == 0o700
        assert account.home.stat().st_uid == account.uid
    assert mode(homes) == 0o711


@needs_root
def test_a_second_call_finds_the_account_of_the_first(homes, new_accounts):
    name = f"test-{os.getpid()}"
    first = account_for(name, "portal", homes)
    first.home.joinpath("work").write_text("mine")
    assert account_for(name, "portal", homes) == first
    assert first.home.joinpath("work").read_text() == "mine"


@needs_root
def test_one_account_cannot_read_the_home_of_another(homes, new_accounts):
    for folder in (homes.parent, homes.parent.parent, homes.parent.parent.parent):
        folder.chmod(folder.stat().st_mode | 0o011)
    ada, bob = (
        account_for(f"test-{name}-{os.getpid()}", "portal", homes) for name in ("ada", "bob")
    )
    (ada.home / "work").write_text("secret")
    (ada.home / "work").chmod(0o644)

    def read_as(account):
        return subprocess.run(
            ["cat", str(ada.home / "work")],
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )

    assert read_as(ada).stdout == "secret"
    assert "Permission denied" in read_as(bob).stderr


@needs_root
@pytest.mark.parametrize("user", ["root", "daemon", "nobody-of-that-name", "ada\n", "../root"])
def test_a_system_account_is_a_persons_and_exists(homes, user):
    with pytest.raises(AccountError, match=r"no account named|belongs to a service") as caught:
        account_for(user, "system", homes)
    assert user.strip() in str(caught.value)
    assert not homes.exists()


@needs_root
def test_a_system_account_keeps_its_own_home(homes, new_accounts):
    made = account_for(f"test-{os.getpid()}", "portal", homes)
    found = account_for(made.name, "system", homes.parent / "elsewhere")
    assert (found.uid, found.gid, found.home) == (made.uid, made.gid, made.home)


@no_root
def test_only_root_starts_servers_for_other_accounts(homes):
    with pytest.raises(AccountError, match="needs root"):
        account_for("ada", "system", homes)


@no_root
def test_an_ordinary_portal_runs_everything_as_itself_in_homes_of_their_own(homes):
    ada, bob = account_for("ada", "portal", homes), account_for("bob", "portal", homes)
    assert ada.uid == bob.uid == os.getuid()
    assert ada.home != bob.home
    assert mode(ada.home) == mode(bob.home) == 0o700


def test_the_own_account_has_a_name(homes):
    assert own_account(homes).name == own_name()
    assert (own_account(homes).uid, own_account(homes).home) == (os.getuid(), homes)


USERS = st.text(min_size=1, max_size=60).filter(lambda text: text.strip())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=USERS, two=USERS)
def test_whatever_a_user_is_called_the_home_stays_among_the_homes(homes, one, two):
    first, second = homes / safe_slug(one), homes / safe_slug(two)
    assert first.parent == second.parent == homes
    assert (first == second) == (one == two)
    assert len(f"bh-{safe_slug(one, max_length=28)}") <= 32  # useradd's limit


@needs_root
def test_two_portals_of_a_machine_share_no_account(tmp_path, new_accounts):
    name = f"test-{os.getpid()}"
    first = account_for(name, "portal", tmp_path / "one/homes")
    second = account_for(name, "portal", tmp_path / "two/homes")
    assert first.uid != second.uid


# Their short names are the same, see test_people.py.
TWINS = ("eve..@@-_-@._x", "eve._@___@..-x")


@needs_root
def test_users_whose_short_names_are_the_same_share_nothing(homes):
    one, two = (account_for(name, "portal", homes) for name in TWINS)
    try:
        assert one.uid != two.uid and one.home != two.home
        assert one.home.stat().st_uid == one.uid != two.home.stat().st_uid
        assert [account_for(name, "portal", homes) for name in TWINS] == [one, two]
    finally:
        for account in {one.name, two.name}:
            subprocess.run(["userdel", account], check=True, capture_output=True)


@no_root
def test_nor_do_their_homes_where_all_have_one_account(homes):
    one, two = (account_for(name, "portal", homes) for name in TWINS)
    assert one.home != two.home


@needs_root
def test_another_s_account_of_that_name_keeps_nobody_out(homes, new_accounts):
    """An account name has room for less of what a user is called than a home has."""
    name = f"test-{os.getpid()}"
    short = account_for(name, "portal", homes).name
    subprocess.run(["usermod", "--home", "/nonexistent", short], check=True)
    again = account_for(name, "portal", homes)
    try:
        assert again.name != short
        assert again.home.stat().st_uid == again.uid
    finally:
        subprocess.run(["userdel", again.name], check=True, capture_output=True)
