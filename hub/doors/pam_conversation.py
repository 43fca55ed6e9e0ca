"""PAM asks, a list of answers answers. It blocks: call it off the hub's loop.

pamela's own conversation answers prompts without an echo only, and drops what PAM says.
"""

from collections.abc import Sequence
from ctypes import POINTER, c_char_p, cast, sizeof
from dataclasses import dataclass, field
from typing import Any

import pamela

CONVERSATION_ERROR = 19
PROMPTS = (pamela.PAM_PROMPT_ECHO_OFF, pamela.PAM_PROMPT_ECHO_ON)


@dataclass
class Conversation:
    """What PAM said and asked, and what is still to be answered.

    Parameters
    ----------
    answers : list of str
        For the prompts, in their order.
    asked : list of str
        The prompts so far.
    said : list of str
        What PAM said beside them.
    unanswered : str
        The prompt for which there was no answer left.
    authenticated : bool
        Whether the answers were right, whatever is wrong with the account.
    """

    answers: list[str]
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    unanswered: str = ""
    authenticated: bool = False

    def __call__(self, count: int, messages: Any, response: Any, data: Any) -> int:
        """Answer as `pam_conv` asks."""
        del data
        address = pamela.CALLOC(count, sizeof(pamela.PamResponse))
        response[0] = cast(address, POINTER(pamela.PamResponse))
        for i in range(count):
            message = messages[i].contents
            text = (cast(message.msg, c_char_p).value or b"").decode("utf-8", "replace").strip()
            if message.msg_style not in PROMPTS:
                self.said.append(text)
                continue
            self.asked.append(text)
            if not self.answers:
                self.unanswered = text
                return CONVERSATION_ERROR
            response.contents[i].resp = pamela.STRDUP(self.answers.pop(0).encode())
            response.contents[i].resp_retcode = 0
        return 0


def log_in(
    service: str, name: str, answers: Sequence[str], address: str
) -> tuple[int, Conversation]:
    """Return PAM's status at a log-in, and what was said.

    Parameters
    ----------
    service : str
        The file in /etc/pam.d.
    name : str
        The account.
    answers : sequence of str
        For the prompts, in their order.
    address : str
        Where the browser is; empty where nobody knows.
    """
    conversation = Conversation(list(answers))
    function = pamela.CONV_FUNC(conversation)
    handle = pamela.pam_start(service, name, conv_func=function)
    if address:
        handle.set_item(pamela.PAM_RHOST, address)
    status = pamela.PAM_AUTHENTICATE(handle, 0)
    if status == pamela.PAM_SUCCESS:
        conversation.authenticated = True
        status = pamela.PAM_ACCT_MGMT(handle, 0)
    if status == pamela.PAM_SUCCESS:
        # For those who have tickets: renewed, or not, which keeps nobody out.
        pamela.PAM_SETCRED(handle, pamela.PAM_REINITIALIZE_CRED)
    pamela.PAM_END(handle, status)
    return int(status), conversation


def look_at(service: str, name: str) -> tuple[int, Conversation]:
    """Return PAM's status of an account that has logged in before, and what was said."""
    conversation = Conversation([], authenticated=True)
    function = pamela.CONV_FUNC(conversation)
    handle = pamela.pam_start(service, name, conv_func=function)
    status = pamela.PAM_ACCT_MGMT(handle, 0)
    pamela.PAM_END(handle, status)
    return int(status), conversation
