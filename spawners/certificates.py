"""A certificate of this portal's own, which is trusted by those alone who were told of it."""

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .records import write_private

NAME = "beamhub"
# It's the certificate itself that is compared, and nodes' clocks may be wrong.
ALWAYS = (datetime(1970, 1, 2), datetime(9999, 12, 30))


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate and its key, in one file."""

    path: Path

    @classmethod
    def kept(cls, folder: Path) -> "Certificate":
        """Return the one of a folder, made where there is none."""
        path = folder / "certificate.pem"
        if not path.exists():
            write_private(path, made())
        return cls(path)

    @property
    def der(self) -> bytes:
        """The certificate alone, which isn't a secret."""
        found = x509.load_pem_x509_certificate(self.path.read_bytes())
        return found.public_bytes(serialization.Encoding.DER)

    def context(self) -> ssl.SSLContext:
        """Return how to listen with it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Shells of older nodes have no 1.3.
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.num_tickets = 0  # nobody comes back with one
        context.load_cert_chain(self.path)
        return context


def made() -> str:
    """Return a new key with a certificate of it, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ALWAYS[0])
        .not_valid_after(ALWAYS[1])
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return (private + certificate.public_bytes(serialization.Encoding.PEM)).decode("ascii")
