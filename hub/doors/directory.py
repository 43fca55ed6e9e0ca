"""A directory of accounts, asked by LDAP: who somebody is, and in which groups.

It blocks: call it off the hub's loop. ldap3 itself is used, not JupyterHub's authenticator for it:
see decision 0220.
"""

import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import ldap3
from ldap3.core import exceptions, results
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn, parse_dn

from ..logins import Ldap, LdapSearch
from .directory_state import (
    ATTRIBUTES,
    POLICY_CONTROL,
    Attributes,
    closed,
    refusal_of_bind,
)
from .people import DoorFaultError, NotLetInError, Person, Typed, WrongPasswordError

CONNECT_S = 5
ANSWER_S = 10
GROUPS_MAX = 2000
ASKED_AT_ONCE = 50
"""So many groups go into one question for those that they are in."""
NESTED_BY_THE_SERVER = "1.2.840.113556.1.4.1941"
ACTIVE_DIRECTORY = "1.2.840.113556.1.4.800"
NO_SUCH_NAME = (results.RESULT_NO_SUCH_OBJECT, results.RESULT_INVALID_DN_SYNTAX)


class Encryption(ldap3.Tls):
    """Python's own TLS, which compares the certificate with the name: ldap3's is deprecated."""

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        """Encrypt what goes through a connection from now on."""
        context = ssl.create_default_context(cafile=self.ca_certs_file)
        connection.socket = context.wrap_socket(
            connection.socket,
            do_handshake_on_connect=do_handshake,
            server_hostname=connection.server.host,
        )


@dataclass(frozen=True)
class Entry:
    """An entry of the directory."""

    dn: str
    attributes: Attributes

    def texts(self, name: str) -> list[str]:
        """Return the values of an attribute as text."""
        return [value.decode("utf-8", "replace") for value in self.attributes.get(name, ())]


@dataclass(frozen=True)
class Directory:
    """The directory that a profile names.

    Parameters
    ----------
    login : Ldap
        What the profile says.
    contact : str
        Whom people ask.
    password : str
        Of the account that searches, empty where there is none.
    named : tuple of str
        The groups that the profile names anywhere.
    """

    login: Ldap
    contact: str
    password: str = field(default="", repr=False)
    named: tuple[str, ...] = ()

    # Who somebody is

    def log_in(self, entered: Typed) -> Person:
        """Return who has this name and password.

        Raises
        ------
        NotLetInError
            Nobody has, the account is closed, or the directory can't be asked.
        """
        if self.login.search is None:
            return self.by_template(entered)
        with self.searching(self.login.search) as connection:
            dn = self.find(connection, entered.name, self.login.search)
            with self.connected() as own:
                self.bind(own, dn, entered)
            return self.person(connection, dn, entered.name)

    def look_up(self, name: str) -> Person | None:
        """Return somebody without a password, None where this directory has no account for that."""
        search = self.login.search
        if search is None or search.bind_dn is None:
            return None
        with self.searching(search) as connection:
            return self.person(connection, self.find(connection, name, search), name)

    def by_template(self, entered: Typed) -> Person:
        """Return who has the name and password, by the first template that fits."""
        for template in self.login.bind_dn_templates:
            dn = template.replace("{username}", escape_rdn(entered.name))
            with self.connected() as connection:
                try:
                    self.bind(connection, dn, entered)
                except WrongPasswordError:
                    continue
                self.refuse_namesakes(connection, template, entered.name)
                return self.person(connection, dn, entered.name)
        raise WrongPasswordError(f"no template fits '{entered.name}' and its password")

    def refuse_namesakes(self, connection: Any, template: str, name: str) -> None:
        """Refuse a name that two people have: they would share files and servers."""
        for other in self.login.bind_dn_templates:
            dn = other.replace("{username}", escape_rdn(name))
            if other != template and self.entries(
                connection, dn, "(objectClass=*)", ["1.1"], scope=ldap3.BASE
            ):
                raise self.ambiguous(f"{dn} is there beside the one that logs in")

    def ambiguous(self, detail: str) -> NotLetInError:
        """Return that a name isn't that of one account."""
        return NotLetInError(f"More than one account is called so. Ask {self.contact}.", detail)

    def find(self, connection: Any, name: str, search: LdapSearch) -> str:
        """Return the one account that a name stands for."""
        filter_ = search.filter.replace("{username}", escape_filter_chars(name))
        found = self.entries(connection, search.base, filter_, ["1.1"], size_limit=2)
        if not found:
            raise WrongPasswordError(f"no account fits {filter_} below {search.base}")
        if len(found) > 1:
            raise self.ambiguous(f"{filter_} fits {found[0].dn} and {found[1].dn}")
        return found[0].dn

    def bind(self, connection: Any, dn: str, entered: Typed) -> None:
        """Let the directory say whether the password is right."""
        connection.user, connection.password = dn, entered.password
        try:
            connection.bind(controls=[(POLICY_CONTROL, False, None)])
        except exceptions.LDAPSASLPrepError as error:
            raise WrongPasswordError(f"no password could be so: {error}") from None
        result = connection.result
        controls = result.get("controls") or {}
        policy = (controls.get(POLICY_CONTROL) or {}).get("value") or b""
        why = refusal_of_bind(result["message"], policy)
        if why:
            raise NotLetInError(f"{why} Ask {self.contact} if you can't.", f"{dn}: {why}")
        if result["result"] == results.RESULT_REFERRAL:
            raise self.referred(result)
        if result["result"] in (results.RESULT_BUSY, results.RESULT_UNAVAILABLE):
            raise self.unreachable(f"It answers: {result['description']}.")
        if result["result"] != results.RESULT_SUCCESS:
            raise WrongPasswordError(f"{dn}: {result['description']} {result['message']}".strip())
        if connection.extend.standard.who_am_i() == "":
            raise WrongPasswordError(f"{dn}: the directory took the password for none")

    def person(self, connection: Any, dn: str, entered: str) -> Person:
        """Return whose entry that is, if it's open."""
        wanted = [self.login.username_attribute, "memberOf", "gidNumber", *ATTRIBUTES]
        found = self.entries(connection, dn, "(objectClass=*)", wanted, scope=ldap3.BASE)
        if not found:
            raise self.unreachable(
                f"{dn} can't be read: give it, or the account that searches, the right to read it."
            )
        if why := closed(found[0].attributes, datetime.now(UTC)):
            raise NotLetInError(f"{why} Ask {self.contact} if you can't.", f"{dn}: {why}")
        name = self.name_of(found[0], entered)
        return Person(name.lower(), self.groups_of(connection, found[0], name))

    def name_of(self, entry: Entry, entered: str) -> str:
        """Return the one name of an account, whatever somebody typed."""
        attribute = self.login.username_attribute
        names = entry.texts(attribute)
        if len(names) == 1:
            return names[0].strip()
        first = parse_dn(entry.dn)[0]
        if names and first[0].lower() == attribute.lower():
            return str(first[1])
        raise NotLetInError(
            f"The directory gives your account {'several names' if names else 'no name'}. "
            f"Ask {self.contact}.",
            f"login.username_attribute: {entry.dn} has {len(names)} values of {attribute}, typed "
            f"was '{entered}'",
        )

    # Groups

    def groups_of(self, connection: Any, entry: Entry, name: str) -> frozenset[str]:
        """Return the groups of an account, as the profile names them."""
        found = {same(dn): dn for dn in entry.texts("memberOf")}
        names: set[str] = set()
        for group in self.groups_by_search(connection, entry, name):
            found[same(group.dn)] = group.dn
            names |= set(group.texts(self.group_attribute))
        for dn in self.in_full:
            if same(dn) not in found and self.is_member(connection, dn, entry, name):
                found[same(dn)] = dn
        as_named = {same(dn): dn for dn in self.in_full}
        return frozenset(names | {as_named.get(key, dn) for key, dn in found.items()})

    @property
    def in_full(self) -> list[str]:
        """The groups that the profile names in full."""
        return [group for group in self.named if "=" in group]

    @property
    def group_attribute(self) -> str:
        """What groups are called by."""
        return self.login.groups.name_attribute if self.login.groups else "cn"

    def groups_by_search(self, connection: Any, entry: Entry, name: str) -> Iterator[Entry]:
        """Yield the groups below the base that an account is in, directly or by others."""
        declared = self.login.groups
        if declared is None:
            return
        filters = [member_filter(entry, name)]
        if declared.nested and is_active_directory(connection):
            dn = escape_filter_chars(entry.dn)
            filters.append(f"(member:{NESTED_BY_THE_SERVER}:={dn})")
            declared = declared.model_copy(update={"nested": False})
        seen: set[str] = set()
        new = self.groups_that(connection, any_of(filters))
        # Groups that hold the account by its own memberOf only may be in others too.
        outside = [Entry(dn, {}) for dn in entry.texts("memberOf")]
        while new or outside:
            fresh = [group for group in new if same(group.dn) not in seen]
            yield from fresh
            around = [group for group in [*fresh, *outside] if same(group.dn) not in seen]
            seen |= {same(group.dn) for group in around}
            outside = []
            if len(seen) > GROUPS_MAX:
                raise NotLetInError(
                    f"Your account is in too many groups to look at. Ask {self.contact}.",
                    f"{entry.dn} is in more than {GROUPS_MAX} groups",
                )
            new = self.groups_around(connection, around) if declared.nested else []

    def groups_around(self, connection: Any, groups: Sequence[Entry]) -> list[Entry]:
        """Return the groups that hold any of these groups."""
        found = []
        for i in range(0, len(groups), ASKED_AT_ONCE):
            members = [escape_filter_chars(g.dn) for g in groups[i : i + ASKED_AT_ONCE]]
            filters = [f"(member={dn})(uniqueMember={dn})" for dn in members]
            found += self.groups_that(connection, any_of(filters))
        return found

    def groups_that(self, connection: Any, filter_: str) -> list[Entry]:
        """Return the groups below the base that a filter fits."""
        declared = self.login.groups
        assert declared is not None
        return self.entries(connection, declared.base, filter_, [declared.name_attribute])

    def is_member(self, connection: Any, group: str, entry: Entry, name: str) -> bool:
        """Return whether a group that is named in full holds an account."""
        filter_ = member_filter(entry, name)
        return bool(self.entries(connection, group, filter_, ["1.1"], scope=ldap3.BASE))

    def groups_there(self, names: Iterable[str]) -> dict[str, bool]:
        """Return which groups are in the directory, of those that it lets us look for."""
        search = self.login.search
        if search is None:
            return {}
        with self.searching(search) as connection:
            return {name: self.is_there(connection, name) for name in names}

    def is_there(self, connection: Any, group: str) -> bool:
        """Return whether there is a group of that name."""
        if "=" in group:
            found = self.entries(connection, group, "(objectClass=*)", ["1.1"], scope=ldap3.BASE)
            return bool(found)
        if self.login.groups is None:
            return False
        filter_ = f"({self.group_attribute}={escape_filter_chars(group)})"
        return bool(self.groups_that(connection, filter_))

    # The connection

    def faults(self) -> list[str]:
        """Return which servers can't be used, and why: those too that are asked last."""
        found = []
        for host, port in self.login.servers:
            try:
                self.connection(host, port).unbind()
            except (exceptions.LDAPException, OSError) as error:
                found.append(f"{host}:{port}: {told(error)}")
        return found

    @contextmanager
    def searching(self, search: LdapSearch) -> Iterator[Any]:
        """Give a connection of the account that may search."""
        with self.connected() as connection:
            if search.bind_dn:
                connection.user, connection.password = search.bind_dn, self.password
                connection.authentication = ldap3.SIMPLE
                connection.bind()
                if connection.result["result"] != results.RESULT_SUCCESS:
                    raise self.unreachable(
                        f"It refuses the account that searches, {search.bind_dn}: "
                        f"{connection.result['description']}. Look at login.search.bind_dn and "
                        "at its password."
                    )
            yield connection

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """Give an encrypted connection to the first server that answers."""
        problems = []
        for host, port in self.login.servers:
            try:
                connection = self.connection(host, port)
            except (exceptions.LDAPException, OSError) as error:
                problems.append(f"{host}:{port}: {told(error)}")
                continue
            try:
                yield connection
            except exceptions.LDAPCommunicationError as error:
                raise self.unreachable(f"{host}:{port}: {told(error)}") from None
            except exceptions.LDAPException as error:
                raise self.unreachable(f"{host}:{port}: {type(error).__name__} {error}") from None
            finally:
                connection.unbind()
            return
        raise self.unreachable(" ".join(problems))

    def connection(self, host: str, port: int) -> Any:
        """Return an encrypted connection on which nothing has been said."""
        tls = Encryption(ca_certs_file=str(self.login.ca) if self.login.ca else None)
        server = ldap3.Server(
            host,
            port=port,
            use_ssl=not self.login.starttls,
            tls=tls,
            get_info=ldap3.NONE,
            connect_timeout=CONNECT_S,
        )
        connection = ldap3.Connection(
            server,
            # Also of connections that say who they are later: nobody, until then.
            user="cn=nobody",
            password="-",  # noqa: S106
            authentication=ldap3.SIMPLE,
            auto_bind=ldap3.AUTO_BIND_NONE,
            # A password is never sent where an answer points to.
            auto_referrals=False,
            check_names=False,
            read_only=True,
            receive_timeout=ANSWER_S,
        )
        try:
            connection.open(read_server_info=False)
            if self.login.starttls and not connection.start_tls(read_server_info=False):
                raise exceptions.LDAPStartTLSError("it doesn't encrypt by StartTLS")
        except (exceptions.LDAPException, OSError):
            if connection.socket is not None:
                connection.socket.close()
            raise
        return connection

    def entries(
        self,
        connection: Any,
        base: str,
        filter_: str,
        attributes: Sequence[str],
        *,
        scope: Any = ldap3.SUBTREE,
        size_limit: int = 0,
    ) -> list[Entry]:
        """Return the entries that a filter fits; what is said to lie elsewhere is left there."""
        connection.search(
            base, filter_, search_scope=scope, attributes=list(attributes), size_limit=size_limit
        )
        result = connection.result
        if result["result"] == results.RESULT_REFERRAL:
            raise self.referred(result)
        if result["result"] not in (
            results.RESULT_SUCCESS,
            results.RESULT_SIZE_LIMIT_EXCEEDED,
            *NO_SUCH_NAME,
        ):
            raise self.unreachable(
                f"A search below {base} for {filter_} fails: {result['description']} "
                f"{result['message']}"
            )
        return [
            Entry(found["dn"], dict(found["raw_attributes"]))
            for found in connection.response or ()
            if found["type"] == "searchResEntry"
        ]

    def referred(self, result: Any) -> NotLetInError:
        """Return that the directory sends us to another one."""
        where = ", ".join(result.get("referrals") or ()) or "another one"
        return DoorFaultError(
            "The directory of accounts says that your account lies in another one, and this portal "
            f"doesn't follow it there. Ask {self.contact}.",
            f"The directory refers to {where}. Passwords are not sent there: name that server in "
            "login.server, or a base that it has itself.",
        )

    def unreachable(self, detail: str) -> DoorFaultError:
        """Return that the directory doesn't do what it should."""
        return DoorFaultError(
            "The directory of accounts doesn't answer as it should, so nobody can log in at the "
            f"moment. Try again in some minutes, or ask {self.contact}.",
            detail,
        )


def member_filter(entry: Entry, name: str) -> str:
    """Return what fits the groups that an account is in itself."""
    dn, number = escape_filter_chars(entry.dn), entry.texts("gidNumber")
    filters = [f"(member={dn})", f"(uniqueMember={dn})", f"(memberUid={escape_filter_chars(name)})"]
    if number:
        first = escape_filter_chars(number[0])
        filters.append(f"(&(objectClass=posixGroup)(gidNumber={first}))")
    return any_of(filters)


def any_of(filters: Sequence[str]) -> str:
    """Return what fits where one of the filters does."""
    return f"(|{''.join(filters)})"


def same(dn: str) -> str:
    """Return a name in full so that two spellings of one are equal."""
    try:
        return ",".join(spelled(part) for part in parse_dn(dn, strip=True))
    except exceptions.LDAPInvalidDnError:
        return dn.lower()


def spelled(part: tuple[str, str, str]) -> str:
    """Return one part of a name in full, spelled in one way, with what joins it to the next."""
    attribute, value, joined = part
    return f"{attribute.lower()}={value.lower()}{joined if joined == '+' else ''}"


def is_active_directory(connection: Any) -> bool:
    """Return whether the server looks into groups in groups itself."""
    connection.search("", "(objectClass=*)", ldap3.BASE, attributes=["supportedCapabilities"])
    found = connection.response or []
    attributes = found[0].get("raw_attributes", {}) if found else {}
    return ACTIVE_DIRECTORY.encode() in attributes.get("supportedCapabilities", ())


def told(error: Exception) -> str:
    """Return what is wrong with a connection, and what to do about it."""
    text = str(error)
    if "mismatch, certificate is not valid" in text:
        return "its certificate is for another name. Give login.server the name in it."
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        return (
            "its certificate is not trusted. Name the authority that signed it in login.ca, or let "
            "this machine trust it."
        )
    if isinstance(error, exceptions.LDAPStartTLSError):
        return f"{text}. Look at login.encryption and at the server's certificate."
    if isinstance(error, exceptions.LDAPSocketOpenError):
        return f"it can't be reached: {text}. Look at its name and port, and at firewalls."
    return f"{type(error).__name__}: {text}."
