"""Ask PAM in this process, or, where that has no rights, in one that the helper starts.

Run as ``python -I -m hub.doors.pam_asking SERVICE NAME`` with answers as JSON on standard input:
the helper does so, and fixes the service.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from spawners.rights import asking
from spawners.rights.asking import HelperError

from ..part_names import PAM
from .pam_conversation import Conversation, log_in, look_at

FAILED = "failed"


def asked(
    service: str, name: str, answers: Sequence[str] | None, address: str = ""
) -> tuple[int, Conversation]:
    """Return PAM's status and what was said: at a log-in, or of one who has logged in before.

    Parameters
    ----------
    service : str
        The file in /etc/pam.d.
    name : str
        The account.
    answers : sequence of str or None
        For the prompts, in their order; None asks whether the account still may.
    address : str, optional
        Where the browser is.

    Raises
    ------
    pamela.PAMError, HelperError
        It can't be asked.
    """
    if asking.helper is None:
        return here(service, name, answers, address)
    said = elsewhere(name, {"answers": answers, "address": address})
    if FAILED in said:
        raise HelperError(said[FAILED])
    return said.pop("status"), Conversation(**said)


def here(
    service: str, name: str, answers: Sequence[str] | None, address: str
) -> tuple[int, Conversation]:
    """Ask PAM in this process."""
    if answers is None:
        return look_at(service, name)
    return log_in(service, name, answers, address)


def elsewhere(name: str, question: dict[str, Any]) -> dict[str, Any]:
    """Ask PAM in a process of root's, with nothing of the answers in its arguments."""
    child, telling, told = asking.converse(PAM, name)
    with child, told:
        with telling:
            json.dump(question, telling)
        text = told.read()
    try:
        return dict(json.loads(text))
    except ValueError:
        raise HelperError("PAM could not be asked: its process said nothing") from None


def main(arguments: Sequence[str]) -> None:
    """Ask PAM and print what came of it."""
    import pamela

    service, name = arguments
    question = json.load(sys.stdin)
    try:
        status, conversation = here(service, name, question["answers"], question["address"])
    except pamela.PAMError as error:
        said: dict[str, Any] = {FAILED: str(error)}
    else:
        # What was left to answer is nobody's any more.
        said = {"status": status, **asdict(conversation), "answers": []}
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
