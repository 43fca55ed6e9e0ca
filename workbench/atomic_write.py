"""Write files so that nobody ever sees a half one."""

import os
import secrets
from pathlib import Path


def atomic_write(path: Path, data: bytes) -> None:
    """Write a file that is seen as a whole or not at all, with the rights of any new file.

    Raises
    ------
    OSError
        It can't be written; what was there before is still there.
    """
    # A name of its own: two kernels may write the same file at the same time.
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
