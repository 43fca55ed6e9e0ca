"""Reference data: one call in a notebook, and it is there, verified, once for the whole site.

Examples
--------
>>> from workbench import data
>>> data.status()  # doctest: +SKIP
>>> frames = data.fetch("lab6-image")  # doctest: +SKIP
"""

from .access import Files, Row, Status, fetch, status
from .errors import DataError

__all__ = ["DataError", "Files", "Row", "Status", "fetch", "status"]
