"""Shelves of exchangeable modules for ptychography, and recipes that stack them.

The idea is that of PtychoShelves (Wakonig et al. 2020, doi:10.1107/S1600576720001776); the code is
new. To add a detector, a preparation or an engine, put one small file on its shelf: a folder beside
this file, whose modules are found by themselves.
"""

from .recipe import Recipe, read
from .scan import Scan, State
from .series import Report, reconstruct
from .shelf import SHELVES, Shelf

__all__ = ["SHELVES", "Recipe", "Report", "Scan", "Shelf", "State", "read", "reconstruct"]
