"""Checksums of files and of bytes."""

import errno
import hashlib
import os
import stat
from pathlib import Path

CHUNK = 1 << 20


def sha256_of_bytes(data: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's contents, in hexadecimal digits.

    Raises
    ------
    OSError
        It can't be read, or is a pipe, a device or a folder: nothing is waited for.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        return sha256_of_descriptor(descriptor)
    finally:
        os.close(descriptor)


def sha256_of_descriptor(descriptor: int) -> str:
    """Return the SHA-256 of an open file, as long as it is now: it may grow while it is read."""
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it isn't an ordinary file")
    digest, left = hashlib.sha256(), about.st_size
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        while left > 0 and (size := file.readinto(view[: min(left, CHUNK)])):
            digest.update(view[:size])
            left -= size
    return digest.hexdigest()
