"""Reference data: one call in a notebook, and it is there, verified, once for the whole site.

Examples
--------
>>> from workbench import data
>>> data.status()  # doctest: +SKIP
>>> frames = data.fetch("lab6-image")  # doctest: +SKIP
>>> for path in data.stream("cxidb-21", unverified="cxidb-21"):  # doctest: +SKIP
...     analyse(path)
"""

from .access import Files, Row, Status, fetch, status, stream
from .errors import DataError

__all__ = ["DataError", "Files", "Row", "Status", "fetch", "status", "stream"]
