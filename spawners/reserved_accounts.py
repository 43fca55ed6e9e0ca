"""Account numbers of the parts of a portal that root starts and that need none of root's rights.

Debian reserves the numbers from 65,000 on up to ``nobody`` and gives them to no account; from
65,520 on systemd doesn't give them to a service either. Each part has one of its own, as account
and as group: what was taken over of one reaches nothing of another.
"""

HUB = 65_529
"""Serves the pages and keeps the portal's state, see `spawners.rights`."""
READER = 65_530
"""Reads archives that strangers hand in."""
LOG_KEEPER = 65_531
"""Keeps what servers say."""
PROXY = 65_532
"""Takes what the network sends, and may connect to the hub and to users' servers."""
RESERVED = range(65_520, 65_536)
"""Those of which none is a person's, with ``nobody`` and what a 16-bit number calls none."""
