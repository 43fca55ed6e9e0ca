"""``beamhub proxy``: start the proxy of a portal whose hub runs apart from it."""

import os

from spawners.child_processes import child_environment

from .common import SiteArgument, deployment_of, fail


def proxy(site: SiteArgument) -> None:
    """Start the proxy alone, where the profile has 'serving.apart'.

    Hub and proxy then are two programs: users' servers stay reachable while the hub restarts.
    The hub is started by 'beamhub serve' with the same profile.
    """
    from ..config import proxy_environment
    from ..proxy import ProxyError, apart_command
    from ..secrets import SecretError

    serving = deployment_of(site).site.serving
    if serving.apart is None:
        raise fail(f"The profile '{site}' has no 'serving.apart': its hub starts the proxy itself.")
    if serving.apart.proxy_socket is None:
        raise fail(
            f"The profile '{site}' has 'serving.apart.proxy_url': whoever runs the proxy at "
            f"{serving.apart.proxy_url} starts it. With 'proxy_socket' this command does."
        )
    try:
        command = apart_command(serving, serving.apart)
        environment = child_environment(**proxy_environment(serving.apart))
        # What a proxy that was killed has left would keep this one from listening there.
        serving.apart.proxy_socket.unlink(missing_ok=True)
    except (ProxyError, SecretError) as error:
        raise fail(str(error)) from None
    os.umask(0o077)
    os.chdir("/")
    os.execve(command[0], command, environment)  # noqa: S606 - a list, and no shell
