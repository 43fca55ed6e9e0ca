"""A directory of the tests' own: OpenLDAP's slapd with TLS by a private authority."""

import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ldap3
from portals import PATIENCE_S

BASE = "dc=example,dc=org"
PASSWORD = "Röntgen 1895"
SEARCHER = f"cn=portal,{BASE}"
SEARCHERS_PASSWORD = "look-for-people"
ELSEWHERE = f"ou=elsewhere,{BASE}"
CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/msuser.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
pidfile {folder}/pid
TLSCACertificateFile {folder}/ca.pem
TLSCertificateFile {folder}/cert.pem
TLSCertificateKeyFile {folder}/key.pem
# As unkind as a directory may be: an empty password is a success, and nothing goes unencrypted.
allow bind_anon_cred
security tls=128
database mdb
maxsize 16777216
suffix {base}
rootdn cn=root,{base}
rootpw {searchers_password}
directory {folder}/data
overlay memberof
overlay ppolicy
ppolicy_default cn=policy,{base}
ppolicy_use_lockout
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{searcher}" read by users read by anonymous auth by * none
"""
ENTRIES = """
dn: {base}
objectClass: organization
objectClass: dcObject
o: Example
dc: example

dn: ou=people,{base}
objectClass: organizationalUnit
ou: people

dn: ou=guests,{base}
objectClass: organizationalUnit
ou: guests

dn: ou=groups,{base}
objectClass: organizationalUnit
ou: groups

dn: cn=policy,{base}
objectClass: device
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdMustChange: TRUE

dn: cn=strict,{base}
objectClass: device
objectClass: pwdPolicy
cn: strict
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 4

dn: {searcher}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: portal
userPassword: {searchers_password}

dn: {elsewhere}
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://127.0.0.1:{elsewhere_port}/{elsewhere}
"""
GROUPS = {
    "scientists": ["uid=ada,ou=people", "cn=crystals,ou=groups", "uid=gast,ou=guests"],
    "crystals": ["cn=proteins,ou=groups"],
    "proteins": ["uid=dorothy,ou=people", "cn=scientists,ou=groups"],
    "staff": ["uid=lise,ou=people"],
}
"""Groups of full names: proteins in crystals in scientists, and those in proteins again."""


def lines(dn: str, **attributes: str | list[str]) -> str:
    """Return an entry as LDIF."""
    values = [
        f"{name}: {value}"
        for name, given in attributes.items()
        for value in ([given] if isinstance(given, str) else given)
    ]
    return "\n".join([f"dn: {dn}", *values, ""]) + "\n"


def person(uid: str, *classes: str, where: str = "ou=people", **more: str | list[str]) -> str:
    """Return somebody's entry."""
    return lines(
        f"uid={uid},{where},{BASE}",
        objectClass=["inetOrgPerson", *classes],
        uid=more.pop("names", [uid]),
        cn=uid,
        sn=uid,
        userPassword=PASSWORD,
        **more,
    )


def people() -> str:
    """Return everybody in the directory: some may log in, some not."""
    posix: dict[str, Any] = {"uidNumber": "4711", "homeDirectory": "/nonexistent"}
    return "\n".join(
        [
            person("ada", mail="ada@example.org"),
            person("dorothy"),
            person("lise", "posixAccount", gidNumber="500", **posix),
            person("gast", where="ou=guests"),
            person("twin", mail="twin@example.org"),
            person("twin", where="ou=guests", mail="twin@example.org"),
            person("many", names=["many", "more"]),
            person("José", mail="jose@example.org"),
            person("expired", "shadowAccount", shadowExpire="19000"),
            person("until-9999", "shadowAccount", shadowExpire="2932896"),
            person("disabled", "extensibleObject", userAccountControl="514"),
            person("over", "extensibleObject", accountExpires="131000000000000000"),
            person("never", "extensibleObject", accountExpires=str(2**63 - 1)),
            person("locked", pwdAccountLockedTime="000001010000Z"),
            person("reset", pwdReset="TRUE"),
            person("guessed", pwdPolicySubentry=f"cn=strict,{BASE}"),
        ]
    )


def groups() -> str:
    """Return the groups: by full names, and by numbers and names as Unix has them."""
    named = [
        lines(
            f"cn={name},ou=groups,{BASE}",
            objectClass="groupOfNames",
            cn=name,
            member=[f"{member},{BASE}" for member in members],
        )
        for name, members in GROUPS.items()
    ]
    unix = [
        lines(f"cn=unix,ou=groups,{BASE}", objectClass="posixGroup", cn="unix", gidNumber="500"),
        lines(
            f"cn=beam,ou=groups,{BASE}",
            objectClass="posixGroup",
            cn="beam",
            gidNumber="501",
            memberUid=["ada"],
        ),
        lines(
            f"cn=staff,{BASE}",
            objectClass="groupOfNames",
            cn="staff",
            member=f"uid=gast,ou=guests,{BASE}",
        ),
    ]
    return "\n".join([*named, *unix])


def missing() -> list[str]:
    """Return which programs this machine lacks for a directory."""
    return [name for name in ("slapd", "slapadd", "openssl") if program(name) is None]


def program(name: str) -> str | None:
    """Return where a program is: an ordinary account's PATH lacks those of administrators."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Slapd:
    """A directory that runs, as a process in a folder of its own."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="bh-slapd-")))
    tls_port: int = field(default_factory=unused_port)
    port: int = field(default_factory=unused_port)
    elsewhere_port: int = field(default_factory=unused_port)
    process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Make the authority, the configuration and the entries."""
        self.certify()
        (self.folder / "data").mkdir()
        names = {
            "folder": self.folder,
            "base": BASE,
            "searcher": SEARCHER,
            "searchers_password": SEARCHERS_PASSWORD,
            "elsewhere": ELSEWHERE,
            "elsewhere_port": self.elsewhere_port,
        }
        conf, ldif = self.folder / "slapd.conf", self.folder / "entries.ldif"
        conf.write_text(CONF.format(**names))
        ldif.write_text("\n".join([ENTRIES.format(**names), people(), groups()]))
        add = [str(program("slapadd")), "-f", str(conf), "-l", str(ldif)]
        done = subprocess.run(add, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def certify(self) -> None:
        """Make an authority and the server's certificate, for 'localhost' only."""
        for name, subject, more in (
            ("ca", "/CN=Tests", ["-addext", "keyUsage=critical,keyCertSign"]),
            (
                "cert",
                "/CN=localhost",
                [
                    *(
                        "-CA",
                        "ca.pem",
                        "-CAkey",
                        "ca.key",
                        "-addext",
                        "subjectAltName=DNS:localhost",
                    ),
                    *("-addext", "basicConstraints=critical,CA:FALSE"),
                ],
            ),
        ):
            key = "ca.key" if name == "ca" else "key.pem"
            subprocess.run(
                [
                    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
                    *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", subject),
                    *("-keyout", key, "-out", f"{name}.pem", *more),
                ],
                cwd=self.folder,
                check=True,
                capture_output=True,
            )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        urls = f"ldaps://127.0.0.1:{self.tls_port} ldap://127.0.0.1:{self.port}"
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [str(program("slapd")), "-f", self.folder / "slapd.conf", "-h", urls, "-d", "256"],
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + PATIENCE_S
        while not all(self.answers(port) for port in (self.tls_port, self.port)):
            assert self.process.poll() is None and time.monotonic() < end, self.log()
            time.sleep(0.02)

    def answers(self, port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def log(self) -> str:
        """Return what it has said of what it was asked."""
        return (self.folder / "log").read_text()

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)
            self.process = None

    def remove(self) -> None:
        """End it and take everything away."""
        self.stop()
        shutil.rmtree(self.folder)

    def change(self, dn: str, **changes: Any) -> None:
        """Change an entry, as its administrator does: attribute to what ldap3 calls changes."""
        tls = ldap3.Tls(ca_certs_file=str(self.folder / "ca.pem"))
        server = ldap3.Server("localhost", port=self.tls_port, use_ssl=True, tls=tls)
        root = f"cn=root,{BASE}"
        # 'with' would leave a connection open that was bound before it.
        connection = ldap3.Connection(server, root, SEARCHERS_PASSWORD, auto_bind=True)
        try:
            assert connection.modify(f"{dn},{BASE}", changes), connection.result
        finally:
            connection.unbind()

    def login(self, **values: Any) -> dict[str, Any]:
        """Return what a profile says of this directory."""
        return {
            "kind": "ldap",
            "server": "localhost",
            "port": self.tls_port,
            "encryption": "tls",
            "ca": str(self.folder / "ca.pem"),
            **({} if "search" in values else {"bind_dn_templates": [TEMPLATE]}),
            **values,
        }


TEMPLATE = f"uid={{username}},ou=people,{BASE}"
SEARCH = {
    "base": BASE,
    "filter": "(|(uid={username})(mail={username}))",
    "bind_dn": SEARCHER,
    "password": {"env": "BEAMHUB_TEST_LDAP"},
}
