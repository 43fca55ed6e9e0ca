"""Accepting the terms of programs with licences of their own."""

from datetime import UTC, datetime

from jupyterhub.utils import url_path_join
from tornado import web

from spawners.records import RecordError
from workbench.manifest import LicenceGate

from ..audit import emit
from ..gates import NOBODY, Gate, gates
from ..licences import Action
from ..refusal import Refused, quoted
from .base import Page


class Licence(Page):
    """Accept the declaration of a program that may not be passed on, or take that back."""

    @web.authenticated
    async def post(self, name: str, program: str) -> None:
        """Note what the user did, and go back to the use case's page."""
        try:
            self.note(self.gate_of(name, program), name)
        except Refused as refusal:
            await self.show_refusal(refusal)
            return
        page = url_path_join(self.hub.base_url, "usecases", name)
        self.redirect(f"{page}#licence-{program}", status=303)

    def gate_of(self, name: str, program: str) -> Gate:
        """Return the gate that the address names."""
        deployment = self.deployment
        use_case = deployment.offered.get(name)
        found = gates(use_case, deployment.site, NOBODY) if use_case else []
        for gate in found:
            if gate.terms.name == program and gate.program is not None:
                return gate
        raise Refused(
            f"{quoted(name)} asks nobody to accept terms of {quoted(program)} here.",
            reason="licence",
            status=404,
        )

    def note(self, gate: Gate, name: str) -> None:
        """Add what the form says to the record, or refuse."""
        terms, page = gate.terms, f"{self.hub.base_url}usecases/{name}#licence-{gate.terms.name}"
        action = self.get_body_argument("action", "")
        if action == "accepted":
            if gate.state != "closed":  # nobody has accepted it, as asked here
                raise Refused(
                    f"{self.deployment.site.title} gives {terms.program} to members of certain "
                    "groups only, so there is nothing to accept.",
                    reason="licence",
                    status=403,
                )
            if self.get_body_argument("version", "") != terms.version:
                raise Refused(
                    f"The declaration for {terms.program} has changed since you saw it. Nothing "
                    "was noted: read it again.",
                    reason="licence",
                    status=409,
                    page=page,
                )
            if self.get_body_argument("declared", "") != "yes":
                raise Refused(
                    f"To have {terms.program}, tick the box beside what you declare. Nothing was "
                    "noted.",
                    reason="licence",
                    page=page,
                )
        elif action != "revoked":
            raise Refused(
                "Terms can be accepted or taken back, nothing else.", reason="option", page=page
            )
        try:
            self.add(action, terms, name)
        except RecordError as error:
            self.log.error("Licences: %s", error)
            raise Refused(
                "That could not be noted, so nothing has changed. Try again later, or ask "
                f"{self.deployment.site.contact}.",
                reason="record",
                status=503,
                page=page,
            ) from None

    def add(self, action: Action, terms: LicenceGate, name: str) -> None:
        """Add to the record what changes something: a form that is sent twice counts once."""
        user, licences = self.current_user.name, self.deployment.licences
        counting = licences.of(user).get(terms.name, {})
        changes = terms.version not in counting if action == "accepted" else bool(counting)
        if changes:
            licences.add(action, user, terms, name, datetime.now(UTC))
            self.log.info("%s has %s the terms of %s", user, action, terms.name)
            names = {"username": user, "program": terms.name, "use_case": name}
            emit(self.settings, "licence", action=action, text_sha256=terms.version, **names)


HANDLERS = [(r"/usecases/([^/]+)/licences/([^/]+)", Licence)]
