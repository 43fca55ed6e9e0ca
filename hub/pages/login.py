"""JupyterHub's own log-in, under our policy."""

from jupyterhub.handlers.login import LoginHandler

from .base import StrictPolicy


class Login(StrictPolicy, LoginHandler):
    """The log-in page."""


HANDLERS = [(r"/login", Login)]
