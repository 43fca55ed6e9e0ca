"""The site profile becomes JupyterHub's configuration; the only reader of secrets."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from jupyterhub.crypto import KEY_ENV
from sqlalchemy import URL
from traitlets.config import Config
from traitlets.utils.importstring import import_item

import workbench
from spawners import PortalContext, child_processes
from spawners.rights import asking
from spawners.rights.asking import has_roots_rights
from spawners.server_socket import socket_url

from .codes import NAME_PATTERN
from .crate_shelf import Shelf
from .culling import API_URL
from .deployment import Deployment
from .entrance import Entrance
from .helped_proxy import HelpedProxy
from .images.plan import repository
from .launching import launcher
from .logins import Codes, Ldap, Oidc, Pam
from .oidc.checks import Report, examine
from .oidc.settings import settings_of
from .proxy import proxy_of_hub
from .routes import LastingRoutes, close_way
from .secrets import SecretError, read_secret
from .serving import Apart, Serving
from .site import SiteProfile
from .sockets import hub_url, sockets_of
from .state import crypt_key_of, identity_of
from .throttle import Throttle
from .timing import ReadyTimes, StartTimes
from .turns import Turns, before_start
from .usecases import CONSTRAINTS
from .workshops.live import Live

CRATES = "reproduce"
IDLE_CULLER = "idle-culler"
HERE = Path(__file__).parent
ROUTES_COMPARED_S = 10
DAY_S = 24 * 3600


def configure(deployment: Deployment) -> Config:
    """Return JupyterHub's configuration for a portal.

    Raises
    ------
    SecretError
        A secret is not where the profile says.
    ProxyError
        There is no configurable-http-proxy.
    """
    c = Config()
    configure_serving(c, deployment)
    configure_state(c, deployment)
    configure_pages(c, deployment)
    configure_login(c, deployment)
    configure_spawner(c, deployment)
    configure_culling(c, deployment)
    return c


def configure_serving(c: Config, deployment: Deployment) -> None:
    """Set where the portal listens: at one port, and at sockets wherever they do."""
    site, sockets = deployment.site, sockets_of(deployment.state)
    serving = site.serving
    c.JupyterHub.proxy_class = HelpedProxy if asking.helper else LastingRoutes
    c.JupyterHub.bind_url = f"{serving.own_url}/"
    c.JupyterHub.hub_bind_url = hub_url(deployment)
    if site.backend.hub_connect_url:
        c.JupyterHub.hub_connect_url = site.backend.hub_connect_url
    # Users' servers on this machine connect to its socket; nobody can put another in its place.
    # So does the proxy, which is not the hub's account where that is root.
    by_others = site.backend.on_this_machine or has_roots_rights()
    c.JupyterHub.hub_socket_mode = 0o666 if by_others else 0o600
    if serving.apart:
        configure_apart(c, serving.apart)
    else:
        c.ConfigurableHTTPProxy.api_url = socket_url(sockets.orders)
        # A hub that is killed leaves its proxy: servers stay within reach until the next start.
        kept = (*child_processes.KEPT, "PATH", "HOME", "CONFIGPROXY_AUTH_TOKEN")
        proxy = proxy_of_hub(serving)
        c.ConfigurableHTTPProxy.command = child_processes.outliving_portal(proxy.command, kept)
        if serving.tls == "own":
            c.JupyterHub.ssl_cert, c.JupyterHub.ssl_key = proxy.certificate, proxy.key
    if serving.public_url:
        c.JupyterHub.public_url = str(serving.public_url)
    configure_sessions(c, deployment)


def configure_sessions(c: Config, deployment: Deployment) -> None:
    """Bound what a stolen token is good for, and where a user's notebook can act."""
    serving = deployment.site.serving
    if serving.user_subdomains:
        c.JupyterHub.subdomain_host = serving.url
        # Such a cookie is sent to every path: to users' servers too, where they share the host.
        c.JupyterHub.cookie_host_prefix_enabled = serving.encrypted
    c.JupyterHub.token_expires_in_max_seconds = deployment.site.limits.token_days * DAY_S


def configure_apart(c: Config, apart: Apart) -> None:
    """Command a proxy that runs already, and be reached by name."""
    c.JupyterHub.hub_connect_url = str(apart.hub_url).rstrip("/")
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = (
        socket_url(apart.proxy_socket) if apart.proxy_socket else str(apart.proxy_url).rstrip("/")
    )
    c.ConfigurableHTTPProxy.auth_token = read_secret(apart.proxy_token)
    # A proxy that was restarted knows no routes until they are compared, by default after minutes.
    c.JupyterHub.last_activity_interval = ROUTES_COMPARED_S


def proxy_environment(apart: Apart) -> dict[str, str]:
    """Return what only the proxy's own process is told.

    Raises
    ------
    SecretError
        The secret is not where the profile says.
    """
    return {"CONFIGPROXY_AUTH_TOKEN": read_secret(apart.proxy_token)}


def configure_state(c: Config, deployment: Deployment) -> None:
    """Keep everything that outlives a restart in one folder."""
    state = deployment.state
    c.JupyterHub.db_url = database_url(deployment)
    c.JupyterHub.cookie_secret_file = str(state / "cookie_secret")
    c.ConfigurableHTTPProxy.pid_file = str(state / "proxy.pid")
    c.JupyterHub.cleanup_servers = not deployment.site.backend.outlives_hub


def database_url(deployment: Deployment) -> str:
    """Return where users, servers and tokens are kept. It may hold a password: never log it."""
    declared = deployment.site.database
    if declared is None:
        return f"sqlite:///{deployment.state / 'portal.sqlite'}"
    url = URL.create(
        "postgresql+psycopg",
        username=declared.user,
        password=read_secret(declared.password),
        host=declared.host,
        port=declared.port,
        database=declared.name,
    )
    return url.render_as_string(hide_password=False)


def configure_pages(c: Config, deployment: Deployment) -> None:
    """Show our pages; the portal itself is handed to them as a setting."""
    c.JupyterHub.template_paths = [str(HERE / "templates")]
    c.JupyterHub.default_url = "/hub/usecases"
    c.JupyterHub.logo_file = str(deployment.site.look.logo or HERE / "static/logo.svg")
    times = StartTimes(deployment.state / "start_times.json")
    c.JupyterHub.tornado_settings = {
        "beamhub": deployment,
        "cookie_options": cookie_options(deployment.site.serving),
        "start_times": times,
        "ready_times": ReadyTimes(deployment.state / "ready_times.json"),
        "turns": Turns(deployment.site.starts_at_once, times),
        "entrance": Entrance(deployment.state),
        "join_throttle": Throttle(),
        "live": Live(),
        "crates": Shelf(deployment.state / CRATES),
        "slow_spawn_timeout": 1,
    }


def cookie_options(serving: Serving) -> dict[str, Any]:
    """Return what keeps cookies from other sites, and from the wire where there is TLS."""
    return {"samesite": "Lax", **({"secure": True} if serving.encrypted else {})}


def configure_login(c: Config, deployment: Deployment) -> None:
    """Set up the login that the profile names."""
    login = deployment.site.login
    if isinstance(login, Codes):
        c.JupyterHub.authenticator_class = "hub.codes.CodeAuthenticator"
        c.Authenticator.username_pattern = NAME_PATTERN
        c.Authenticator.allow_all = True
    elif isinstance(login, Pam):
        configure_door(c, login, deployment.site)
        c.JupyterHub.authenticator_class = "hub.doors.pam.MachineAuthenticator"
        c.MachineAuthenticator.service = login.service
        c.MachineAuthenticator.second_factor = login.second_factor
        c.MachineAuthenticator.sessions = login.sessions
    elif isinstance(login, Ldap):
        configure_door(c, login, deployment.site)
        configure_ldap(c, login, deployment.site)
    else:
        configure_oidc(c, login, deployment)


def door_of(deployment: Deployment) -> Any:
    """Return what the portal asks at a log-in, for `beamhub check` to ask."""
    c = Config()
    configure_login(c, deployment)
    return import_item(c.JupyterHub.authenticator_class)(config=c)


def configure_door(c: Config, login: Pam | Ldap, site: SiteProfile) -> None:
    """Let in whom the profile lets in: what it names is asked again before every start."""
    c.Authenticator.username_pattern = r"(?!\d+\Z)[a-z0-9_][a-z0-9._@-]{0,62}\Z"
    # The door itself looks at `allowed_groups`, to say in a sentence why not.
    c.Authenticator.allow_all = True
    c.Authenticator.manage_groups = True
    c.Authenticator.refresh_pre_spawn = True
    c.Door.allowed_groups, c.Door.admin_groups = login.allowed_groups, login.admin_groups
    c.Door.admins, c.Door.named_groups = login.admins, site.named_groups
    c.Door.contact = site.contact


def configure_ldap(c: Config, login: Ldap, site: SiteProfile) -> None:
    """Ask a directory, always encrypted."""
    from .doors.directory import Directory

    secret = login.search.password if login.search else None
    c.JupyterHub.authenticator_class = "hub.doors.ldap.DirectoryAuthenticator"
    c.DirectoryAuthenticator.directory = Directory(
        login, site.contact, read_secret(secret) if secret else "", tuple(site.named_groups)
    )


def configure_oidc(c: Config, login: Oidc, deployment: Deployment) -> None:
    """Ask an OpenID Connect provider, at the addresses that it publishes."""
    if not os.environ.get(KEY_ENV):
        c.CryptKeeper.keys = [crypt_key_of(deployment.state)]
    c.JupyterHub.authenticator_class = "hub.oidc.authenticator.OidcAuthenticator"
    c.OidcAuthenticator = Config(settings_of(login, deployment))
    c.OidcAuthenticator.client_secret = read_secret(login.client_secret)


def log_in_report(deployment: Deployment) -> Report:
    """Return what `beamhub check` finds about the log-in."""
    login = deployment.site.login
    if not isinstance(login, Oidc):
        return Report()
    try:
        secret = read_secret(login.client_secret)
    except SecretError as error:
        return Report(findings=[f"login.client_secret: {error}"])
    return asyncio.run(examine(login, deployment.site.serving.url, secret))


def configure_spawner(c: Config, deployment: Deployment) -> None:
    """Let the backend start servers, and only what `plan` has allowed."""
    backend = deployment.site.backend
    c.JupyterHub.spawner_class = backend.spawner_class
    c.JupyterHub.allow_named_servers = True
    c.Spawner.apply_user_options = launcher(deployment)
    c.Spawner.pre_spawn_hook = before_start
    # Who comes when many start waits for a turn; JupyterHub would send them away.
    c.JupyterHub.concurrent_spawn_limit = 0
    c.Spawner.post_stop_hook = close_way
    c.Spawner.http_timeout = 120
    c.TellingSpawner.state_folder = str(deployment.state)
    # A stock class gets no section at all, not even an empty one.
    if own := backend.configured(context_of(deployment)):
        c[backend.spawner_class.rpartition(".")[2]] = Config(own)


def context_of(deployment: Deployment) -> PortalContext:
    """Return what the backend may know of this portal."""
    registry = deployment.site.registry
    return PortalContext(
        identity=identity_of(deployment.state),
        sockets_folder=sockets_of(deployment.state).servers,
        tunnel_port=deployment.site.serving.tunnel_port,
        workbench_folder=Path(workbench.__file__).parent,
        constraints_file=CONSTRAINTS,
        build_command=build_command(deployment),
        repositories=tuple(repository(registry, name) for name in deployment.offered),
    )


def build_command(deployment: Deployment) -> tuple[str, ...]:
    """Return the command that builds the image of a use case, whose name follows."""
    beamhub = Path(sys.executable).with_name("beamhub")
    return (sys.executable, "-I", str(beamhub), "images", "build", *deployment.options)


def configure_culling(c: Config, deployment: Deployment) -> None:
    """Stop servers that nobody uses."""
    idle_s = round(deployment.site.limits.idle_h * 3600)
    culler: dict[str, Any] = {
        "name": IDLE_CULLER,
        "command": child_processes.ending_with_portal(
            child_processes.python_command("hub.culling", f"--timeout={idle_s}")
        ),
    }
    if deployment.site.hub_by_socket:
        # JupyterHub itself tells its services a port of such a hub, at which nobody is.
        culler["environment"] = {API_URL: f"{hub_url(deployment)}/hub/api"}
    c.JupyterHub.services = [culler]
    c.JupyterHub.load_roles = [
        {
            "name": IDLE_CULLER,
            "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
            "services": [IDLE_CULLER],
        }
    ]
