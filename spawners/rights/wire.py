"""Messages with open files, by a pair of sockets between the hub and its helper."""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

LARGEST_BYTES = 160 << 10
"""Of a message: below what the kernel takes at once by default."""
MOST_FILES = 6


class WireError(Exception):
    """A message is too large, or none."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two sockets that are connected, which keep messages apart."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(to: socket.socket, message: Mapping[str, Any], files: Sequence[int] = ()) -> None:
    """Send a message, with copies of open files.

    Raises
    ------
    WireError
        It's too large.
    """
    text = json.dumps(message).encode("ascii")
    if len(text) > LARGEST_BYTES:
        raise WireError(f"a message of {len(text)} bytes is too large")
    socket.send_fds(to, [text], files)


def receive(at: socket.socket) -> tuple[Any, list[int]] | None:
    """Return the next message with its files, None where there will be none.

    Raises
    ------
    WireError
        It's none of ours; its files are closed.
    """
    text, files, flags, _ = socket.recv_fds(
        at, LARGEST_BYTES + 1, MOST_FILES, socket.MSG_CMSG_CLOEXEC
    )
    if not text:
        close(files)
        return None
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise WireError("a message or its files are too many")
        return json.loads(text), files
    except (ValueError, RecursionError):
        close(files)
        raise WireError("a message isn't JSON") from None
    except WireError:
        close(files)
        raise


def close(files: Sequence[int]) -> None:
    """Close files that came with a message."""
    for file in files:
        os.close(file)
