"""Variables of the portal's own that its servers are told: none holds a secret."""

import os
from collections.abc import Iterable

KEPT = ("LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "TZ")
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def told_names() -> list[str]:
    """Return their names."""
    return [*KEPT, *harmless(PROXIES)]


def harmless(names: Iterable[str]) -> list[str]:
    """Return the variables that hold no password: those of a proxy can."""
    return [name for name in names if "@" not in os.environ.get(name, "@")]
