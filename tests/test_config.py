"""A site profile as JupyterHub's configuration: every key is one that the real class has."""

from pathlib import Path

import pytest
from jupyterhub.app import JupyterHub
from jupyterhub.proxy import ConfigurableHTTPProxy
from pydantic import TypeAdapter
from sqlalchemy import make_url
from traitlets.config import Config
from traitlets.utils.importstring import import_item

from hub.cli.serve import own_ports
from hub.config import (
    configure,
    configure_culling,
    configure_login,
    configure_pages,
    configure_serving,
    configure_spawner,
    configure_state,
    database_url,
    proxy_environment,
)
from hub.deployment import Deployment, load_deployment
from hub.doors.people import NotLetInError, Person
from hub.proxy import PROGRAM, ProxyError, apart_command, proxy_command
from hub.secrets import SecretError, SecretRef
from hub.serving import Serving
from hub.site import Login, Postgresql, shipped_sites
from hub.sockets import sockets_of
from spawners.server_socket import socket_url

SECRET = "hunter2-Xq9"
ISSUER = "https://sso.example.org/realm"


@pytest.fixture(autouse=True)
def a_proxy(tmp_path, monkeypatch) -> None:
    """A program on the PATH where the machine has none yet: it is named here, never started."""
    program = tmp_path / "bin" / PROGRAM
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def login(**values):
    return TypeAdapter(Login).validate_python(values)


@pytest.fixture
def laptop(laptop: Deployment) -> Deployment:
    """A deployment whose state folder has been prepared, as `serve` does."""
    laptop.state.mkdir(exist_ok=True)
    return laptop


def oidc(issuer: str, **values):
    common = {"kind": "oidc", "client_id": "beamhub", "client_secret": {"env": "OIDC_SECRET"}}
    return login(**common, issuer=issuer, **values)


def of(part, deployment: Deployment) -> Config:
    c = Config()
    part(c, deployment)
    return c


CLASSES = {
    "JupyterHub": "jupyterhub.app.JupyterHub",
    "Authenticator": "jupyterhub.auth.Authenticator",
    "Spawner": "jupyterhub.spawner.Spawner",
    "ConfigurableHTTPProxy": "jupyterhub.proxy.ConfigurableHTTPProxy",
    "DirectoryAuthenticator": "hub.doors.ldap.DirectoryAuthenticator",
    "Door": "hub.doors.authenticator.Door",
    "OidcAuthenticator": "hub.oidc.authenticator.OidcAuthenticator",
    "CryptKeeper": "jupyterhub.crypto.CryptKeeper",
    "ContainerSpawner": "spawners.container.ContainerSpawner",
    "EnvironmentSpawner": "spawners.process.EnvironmentSpawner",
    "MachineAuthenticator": "hub.doors.pam.MachineAuthenticator",
    "JobSpawner": "spawners.slurm.spawner.JobSpawner",
    "PodSpawner": "spawners.kubernetes.spawner.PodSpawner",
    "TellingSpawner": "spawners.telling.TellingSpawner",
}


def check_names(c: Config) -> None:
    for section, values in c.items():
        traits = import_item(CLASSES[section]).class_traits(config=True)
        assert set(values) <= set(traits), section


@pytest.mark.parametrize("name", shipped_sites())
def test_every_key_of_every_sites_configuration_is_one_of_jupyterhubs(name, tmp_path, change):
    deployment = with_secrets(load_deployment(name, state=tmp_path), tmp_path, change)
    given = deployment.site.login
    c = configure(deployment)
    check_names(c)
    chosen = c.JupyterHub.authenticator_class
    authenticator = import_item(chosen)(config=c)
    assert authenticator.allow_all or authenticator.allowed_users or given.allowed_groups
    if given.kind in ("pam", "ldap"):
        assert authenticator.admins == given.admins
        assert authenticator.allowed_groups == given.allowed_groups


def with_secrets(deployment: Deployment, folder: Path, change) -> Deployment:
    """Return a deployment whose secrets in files, where it has any, are there to be read."""
    path = folder / "secret"
    path.touch(mode=0o600)
    path.write_text(f"{SECRET}\n")
    reference = SecretRef(file=path)
    serving, database = deployment.site.serving, deployment.site.database
    if serving.apart:
        apart = serving.apart.model_copy(update={"proxy_token": reference})
        serving = serving.model_copy(update={"apart": apart})
    if database:
        database = database.model_copy(update={"password": reference})
    login = deployment.site.login
    if login.kind == "oidc":
        login = login.model_copy(update={"client_secret": reference})
    return change(deployment, serving=serving, database=database, login=login)


def test_jupyterhub_itself_takes_the_laptops_configuration(laptop):
    app = JupyterHub(config=configure(laptop))
    assert app.bind_url == "http://127.0.0.1:8000/"
    assert app.allow_named_servers is True
    assert app.spawner_class.__name__ == "EnvironmentSpawner"
    assert app.authenticator_class.__name__ == "CodeAuthenticator"
    assert Path(app.logo_file).is_file()


# Serving


@pytest.mark.parametrize(
    ("serving", "bound"),
    [
        ({"port": 9000}, "http://127.0.0.1:9000/"),
        ({"bind": "::1"}, "http://[::1]:8000/"),
        ({"tls": "own", "certificate": "/c.pem", "key": "/k.pem"}, "https://127.0.0.1:8000/"),
    ],
)
def test_it_listens_where_the_profile_says(laptop, change, serving, bound):
    c = of(configure_serving, change(laptop, serving=Serving(**serving)))
    assert c.JupyterHub.bind_url == bound
    assert ("ssl_cert" in c.JupyterHub) == ("certificate" in serving)


def test_a_portal_of_one_machine_has_one_port(laptop, change):
    serving = Serving(bind="0.0.0.0", port=9000, tls="proxy", public_url="https://a.example.org")
    c = of(configure_serving, change(laptop, serving=serving))
    sockets = sockets_of(laptop.state)
    assert c.JupyterHub.hub_bind_url == socket_url(sockets.hub)
    assert c.ConfigurableHTTPProxy.api_url == socket_url(sockets.orders)
    assert c.JupyterHub.public_url == "https://a.example.org/"
    assert own_ports(change(laptop, serving=serving).site) == [("0.0.0.0", 9000)]


def test_jupyterhub_reaches_its_hub_by_the_socket_and_so_do_servers(laptop):
    app = JupyterHub(config=configure(laptop))
    app.init_hub()
    assert app.hub.api_url == f"{socket_url(sockets_of(laptop.state).hub)}/hub/api"
    assert app.hub.socket_mode == 0o666
    (culler,) = app.services
    assert culler["environment"] == {"JUPYTERHUB_API_URL": app.hub.api_url}


def test_containers_reach_the_hub_at_a_port_and_orders_go_by_a_socket(tmp_path):
    deployment = load_deployment("workstation", state=tmp_path)
    c = of(configure_serving, deployment)
    hub = deployment.site.hub_address
    assert c.JupyterHub.hub_bind_url == f"http://{hub}:8081"
    assert c.ConfigurableHTTPProxy.api_url == socket_url(sockets_of(tmp_path).orders)
    assert (hub, 8081) in own_ports(deployment.site)


def test_jobs_dial_in_at_a_port_and_reach_the_hub_at_its_socket(tmp_path):
    deployment = load_deployment("hpc", state=tmp_path)
    c = of(configure_serving, deployment)
    assert c.JupyterHub.hub_bind_url == socket_url(sockets_of(tmp_path).hub)
    assert [port for _, port in own_ports(deployment.site)] == [8000, 8082]


def test_pods_reach_the_hub_where_the_profile_says(tmp_path):
    deployment = load_deployment("cloud", state=tmp_path)
    c = of(configure_serving, deployment)
    assert c.JupyterHub.hub_bind_url == "http://0.0.0.0:8081"
    assert c.JupyterHub.hub_connect_url == "http://hub:8081"
    assert ("0.0.0.0", 8081) in own_ports(deployment.site)


def test_a_proxy_that_runs_apart_is_commanded_by_a_socket(tmp_path, change):
    c = of(
        configure_serving,
        with_secrets(load_deployment("compose", state=tmp_path), tmp_path, change),
    )
    proxy = ConfigurableHTTPProxy(config=c)
    assert proxy.should_start is False
    assert proxy.api_url == "http+unix://%2Frun%2Fbeamhub%2Fproxy.sock"
    assert proxy.auth_token == SECRET
    assert c.JupyterHub.hub_bind_url == "http://0.0.0.0:8081"
    assert c.JupyterHub.hub_connect_url == "http://hub:8081"


def test_a_proxy_in_a_pod_of_its_own_is_commanded_at_an_address(tmp_path, change):
    deployment = with_secrets(load_deployment("compose", state=tmp_path), tmp_path, change)
    serving = deployment.site.serving
    at = {"proxy_socket": None, "proxy_url": "http://proxy-api:8001/"}
    elsewhere = serving.model_copy(update={"apart": serving.apart.model_copy(update=at)})
    c = of(configure_serving, change(deployment, serving=elsewhere))
    assert c.ConfigurableHTTPProxy.api_url == "http://proxy-api:8001"
    assert c.ConfigurableHTTPProxy.should_start is False


def test_it_is_started_by_the_same_profile_and_its_token_is_no_argument(tmp_path, change):
    deployment = with_secrets(load_deployment("compose", state=tmp_path), tmp_path, change)
    serving = deployment.site.serving
    words = apart_command(serving, serving.apart)
    said = " ".join(words)
    assert "--api-socket /run/beamhub/proxy.sock" in said
    assert "--port 8000 " in said
    assert "--error-target http://hub:8081/hub/error" in said
    assert SECRET not in said
    assert proxy_environment(serving.apart) == {"CONFIGPROXY_AUTH_TOKEN": SECRET}


def test_a_missing_proxy_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("hub.proxy.PLACES", ())
    assert proxy_command()[0].endswith(PROGRAM)
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(ProxyError, match="npm install"):
        proxy_command()


def test_state_lies_in_one_folder(laptop):
    c = of(configure_state, laptop)
    for place in (
        c.JupyterHub.db_url,
        c.JupyterHub.cookie_secret_file,
        c.ConfigurableHTTPProxy.pid_file,
    ):
        assert str(laptop.state) in place
    assert c.JupyterHub.cleanup_servers is True


def test_the_database_can_be_postgresql(tmp_path, change):
    deployment = with_secrets(load_deployment("compose", state=tmp_path), tmp_path, change)
    url = make_url(database_url(deployment))
    assert (url.drivername, url.host, url.port) == ("postgresql+psycopg", "database", 5432)
    assert (url.username, url.password, url.database) == ("beamhub", SECRET, "beamhub")


def test_a_password_may_hold_any_character(tmp_path, change, monkeypatch):
    monkeypatch.setenv("DATABASE_PASSWORD", "a@b:c/d%?#")
    database = Postgresql(kind="postgresql", host="db", password={"env": "DATABASE_PASSWORD"})
    deployment = change(load_deployment("laptop", state=tmp_path), database=database)
    assert make_url(database_url(deployment)).password == "a@b:c/d%?#"


def test_servers_on_other_machines_outlive_the_hub(tmp_path):
    c = of(configure_state, load_deployment("hpc", state=tmp_path))
    assert c.JupyterHub.cleanup_servers is False


def test_pages_are_ours(laptop):
    c = of(configure_pages, laptop)
    assert c.JupyterHub.tornado_settings["beamhub"] is laptop
    assert (Path(c.JupyterHub.template_paths[0]) / "catalogue.html").is_file()


# Log-in


@pytest.mark.parametrize("kind", ["pam", "ldap"])
def test_a_door_lets_in_whom_the_profile_lets_in(laptop, change, kind):
    given = {"pam": {}, "ldap": {"server": "a.b", "bind_dn_templates": ["uid={username}"]}}[kind]
    site = change(laptop, login=login(kind=kind, allowed_groups=["beam"], admins=["lise"], **given))
    c = of(configure_login, site)
    door = import_item(c.JupyterHub.authenticator_class)(config=c)
    model = door.let_in(Person("ada", frozenset({"beam", "chess"})))
    assert model["name"] == "ada" and model["admin"] is False
    assert model["groups"] == ["beam"]
    assert door.let_in(Person("lise", frozenset({"beam"})))["admin"] is True
    with pytest.raises(NotLetInError, match=r"is for members of beam. Ask "):
        door.let_in(Person("otto", frozenset({"chess"})))
    with pytest.raises(NotLetInError, match="can't have a user named 'josé'"):
        door.let_in(Person("josé", frozenset({"beam"})))


def test_a_door_asks_again_before_every_start(laptop, change):
    c = of(configure_login, change(laptop, login=login(kind="pam")))
    assert c.Authenticator.refresh_pre_spawn and c.Authenticator.manage_groups


@pytest.mark.parametrize(("port", "starttls"), [(636, False), (389, True)])
def test_a_directory_is_asked_encrypted_on_every_port(laptop, change, port, starttls):
    given = login(kind="ldap", server="a.b", port=port, bind_dn_templates=["uid={username}"])
    c = of(configure_login, change(laptop, login=given))
    assert c.DirectoryAuthenticator.directory.login.starttls is starttls


def test_the_password_that_searches_is_in_no_representation(laptop, change, monkeypatch):
    monkeypatch.setenv("LDAP_SECRET", SECRET)
    search = {"base": "dc=a", "bind_dn": "cn=b", "password": {"env": "LDAP_SECRET"}}
    c = of(configure_login, change(laptop, login=login(kind="ldap", server="a.b", search=search)))
    assert c.DirectoryAuthenticator.directory.password == SECRET
    assert SECRET not in repr(c)


def test_the_door_is_set_up_without_asking_the_provider(laptop, change, monkeypatch):
    monkeypatch.setenv("OIDC_SECRET", SECRET)
    serving = Serving(public_url="https://hub.example.org")
    given = oidc(ISSUER, allowed_groups=["beam"], admin_groups=["staff"], grace_h=1)
    c = of(configure_login, change(laptop, login=given, serving=serving))
    door = import_item(c.JupyterHub.authenticator_class)(config=c)
    assert door.oauth_callback_url == "https://hub.example.org/hub/oauth_callback"
    assert (door.issuer, door.client_secret) == (ISSUER, SECRET)
    assert (door.allowed_groups, door.admin_groups) == ({"beam"}, {"staff"})
    assert (door.allow_all, door.enable_auth_state, door.refresh_pre_spawn) == (False, True, True)
    assert (door.auth_refresh_age, door.grace_s) == (300, 3600)
    assert len(c.CryptKeeper["keys"][0]) == 64
    assert (laptop.state / "crypt_key").stat().st_mode & 0o777 == 0o600


def test_a_key_of_the_administrators_own_is_left_to_jupyterhub(laptop, change, monkeypatch):
    monkeypatch.setenv("OIDC_SECRET", SECRET)
    monkeypatch.setenv("JUPYTERHUB_CRYPT_KEY", "0" * 64)
    c = of(configure_login, change(laptop, login=oidc("https://sso.example.org")))
    assert "CryptKeeper" not in c


def test_a_missing_secret_stops_the_start(laptop, change, monkeypatch):
    monkeypatch.delenv("OIDC_SECRET", raising=False)
    with pytest.raises(SecretError, match="OIDC_SECRET"):
        of(configure_login, change(laptop, login=oidc(ISSUER)))


# Servers


def test_servers_start_only_through_the_plan(laptop, a_user):
    c = of(configure_spawner, laptop)
    assert c.JupyterHub.spawner_class == laptop.site.backend.spawner_class
    assert c.JupyterHub.allow_named_servers is True
    spawner = import_item(c.JupyterHub.spawner_class)(config=c, user=a_user(laptop))
    assert spawner.apply_user_options is c.Spawner.apply_user_options
    assert spawner.state_folder == str(laptop.state)
    assert (Path(spawner.workbench_folder) / "checks.py").is_file()


def test_idle_servers_are_stopped_after_the_profiles_hours(laptop, change):
    limits = laptop.site.limits.model_copy(update={"idle_h": 1.5})
    c = of(configure_culling, change(laptop, limits=limits))
    [service] = c.JupyterHub.services
    assert "--timeout=5400" in service["command"]
    [role] = c.JupyterHub.load_roles
    assert role["services"] == [service["name"]]
    assert not [scope for scope in role["scopes"] if scope.startswith("admin")]


def test_nothing_of_a_configuration_is_shown_to_logs(laptop, change, monkeypatch, capsys, caplog):
    monkeypatch.setenv("OIDC_SECRET", SECRET)
    configure(change(laptop, login=oidc(ISSUER)))
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err + caplog.text
