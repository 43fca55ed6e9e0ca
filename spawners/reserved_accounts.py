"""Account numbers of the parts of a portal that root starts and that need none of root's rights.

Debian reserves the numbers from 65,530 on up to ``nobody`` and gives them to no account. Each part
has one of its own, as account and as group: what was taken over of one reaches nothing of another.
"""

READER = 65_530
"""Reads archives that strangers hand in."""
LOG_KEEPER = 65_531
"""Keeps what servers say."""
PROXY = 65_532
"""Takes what the network sends, and may connect to the hub and to users' servers."""
