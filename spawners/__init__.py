"""Backends: how one launch becomes the traits of a JupyterHub spawner."""

from .launch import Backend, Bound, Launch, Mount, PortalContext, Resources

__all__ = ["Backend", "Bound", "Launch", "Mount", "PortalContext", "Resources"]
