"""Ways from this machine to servers elsewhere: each server dials in, and shows its own secret.

No server listens for the portal. A job dials in at this machine, checks the certificate that it
was told of, and shows the secret of its start; then the portal talks to it through that connection.
What is kept here is what the process that takes these connections has to know.
"""

import base64
import hashlib
import hmac
import re
import secrets
from pathlib import Path

from .certificates import Certificate
from .records import write_private
from .server_socket import PATH_BYTES_MAX, socket_url

FOLDER = "tunnels"
ID = re.compile(r"[0-9a-f]{16}")


class Tunnels:
    """The open ways of a portal.

    Parameters
    ----------
    state : Path
        The portal's state folder.
    """

    def __init__(self, state: Path) -> None:
        self.folder = state / FOLDER

    @property
    def certificate(self) -> Certificate:
        """What this machine shows to those who dial in; made where it isn't there."""
        return Certificate.kept(self.folder)

    def open(self, name: str) -> str:
        """Open a way, and return the secret that its server has to show.

        Parameters
        ----------
        name : str
            A random one of 16 hexadecimal digits.
        """
        secret = secrets.token_urlsafe(32)
        # Of 256 random bits a plain hash is enough.
        write_private(self.key(name), hashed(secret))
        return secret

    def close(self, name: str) -> None:
        """Close a way: what uses it is cut off within a second."""
        self.key(name).unlink(missing_ok=True)
        self.socket(name).unlink(missing_ok=True)

    def close_all_but(self, names: set[str], *, older_than: float) -> None:
        """Close ways that belong to no server, if they were opened before a time."""
        for path in self.folder.glob("*.key"):
            if path.stem not in names and path.stat().st_mtime < older_than:
                self.close(path.stem)

    def is_open(self, name: str) -> bool:
        """Return whether a way is there."""
        return self.key(name).exists()

    def admits(self, name: str, secret: str) -> bool:
        """Return whether a way is open to whoever shows this secret."""
        if not ID.fullmatch(name):
            return False
        try:
            known = self.key(name).read_text(encoding="ascii")
        except OSError:
            return False
        return hmac.compare_digest(known, hashed(secret))

    def key(self, name: str) -> Path:
        """Return the file that says which secret opens a way."""
        return self.folder / f"{name}.key"

    def socket(self, name: str) -> Path:
        """Return where the portal's own processes find the server."""
        return self.folder / f"{name}.sock"

    def url(self, name: str) -> str:
        """Return the address of the server, for the hub and the proxy."""
        return socket_url(self.socket(name))

    def problem(self) -> str:
        """Return why no way could be opened here, empty where all is well."""
        path = str(self.socket("0" * 16))
        if path != path.lower():
            return (
                f"The path of the state folder has capital letters, which addresses of "
                f"sockets lose: {self.folder.parent}. Choose another with --state."
            )
        length = len(path.encode())
        if length <= PATH_BYTES_MAX:
            return ""
        return (
            f"The path of the state folder is {length - PATH_BYTES_MAX} bytes too long for sockets "
            f"in it: {self.folder.parent}. Choose a shorter one with --state."
        )

    def told(self, name: str, secret: str, host: str, port: int) -> str:
        """Return what a server is told, in one word each: where, who, the secret, whom to trust."""
        certificate = base64.b64encode(self.certificate.der).decode("ascii")
        return f"{host} {port} {name} {secret} {certificate}"


def hashed(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
