"""What lies where in a portal's state folder, as far as root makes it: names known without imports.

The hub keeps the rest; see `hub.state` and `spawners.rights`.
"""

HOMES = "homes"
"""Users' homes, where the portal makes their accounts."""
DATA = "data"
"""What all users share of fetched data."""
ENVIRONMENTS = "environments"
"""The software of use cases, one folder each."""
USE_CASES = "usecases"
"""Copies of use cases that every account may read."""
RIGHTS = "rights"
"""What root alone may enter."""
READY = ".ready"
"""In an environment that is whole."""
