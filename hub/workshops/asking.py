"""What somebody asks for becomes a workshop only if its trainer could open what it opens."""

from collections.abc import Mapping
from datetime import datetime

from ..deployment import Deployment
from ..plan import Asked
from ..refusal import Refused
from ..requester import Requester
from .rules import FormError, Wish, read_form


def wish_of(
    form: Mapping[str, str], trainer: Requester, deployment: Deployment, now: datetime
) -> Wish:
    """Return the workshop that a form asks for.

    Parameters
    ----------
    form : mapping
        Its fields. Untrusted.
    trainer : Requester
        Who will hold it. What they have running meanwhile should be left out: it says nothing about
        participants.
    deployment : Deployment
        The portal, whose site has workshops.
    now : datetime
        In UTC.

    Raises
    ------
    FormError
        Something can't be had.
    """
    settings = deployment.site.workshops
    assert settings is not None
    wish = read_form(form, settings, now)
    asked = Asked(size=wish.size or None, notebook=wish.notebook or None)
    try:
        deployment.plan_for(trainer, wish.use_case, asked)
    except Refused as refusal:
        raise FormError({"opens": refusal.in_full}) from None
    return wish
