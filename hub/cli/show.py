"""``beamhub show``: the effective configuration."""

import yaml

from .common import SiteArgument, deployment_of, put_out


def show(site: SiteArgument = "laptop") -> None:
    """Show a site profile as it takes effect, parents and defaults included.

    Secrets are never in a profile: only where each is read is shown.
    """
    body = deployment_of(site).site.model_dump(mode="json", exclude_none=True)
    put_out(yaml.safe_dump(body, sort_keys=False, allow_unicode=True))
