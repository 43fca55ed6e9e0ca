"""A stream of bytes that can be read forward only, with its position and its checksum."""

import io
import queue
import threading
from collections.abc import Callable, Iterable, Iterator

from ..errors import Refused

LONGEST_HEADER = 1 << 20
LONGEST_HEAD = 64 << 20
"""Bytes between two files of an archive; the head of an honest one has some hundred."""


class ForwardStream:
    """What tarfile needs of a file, over chunks that arrive one after the other.

    Parameters
    ----------
    chunks : iterable of bytes
        The stream.
    start : int, optional
        The position of its first byte.

    Attributes
    ----------
    head : bytearray
        Every byte read by `read` or passed over by `seek` since it was last cleared, in order.
    """

    def __init__(self, chunks: Iterable[bytes], start: int = 0) -> None:
        self._chunks = iter(chunks)
        self._current = memoryview(b"")
        self._position = start
        self.head = bytearray()

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._position

    def seek(self, position: int) -> int:
        """Go forward to `position`.

        Raises
        ------
        io.UnsupportedOperation
            It lies behind.
        """
        step = position - self._position
        if step < 0:
            raise io.UnsupportedOperation("a stream can't be read backwards")
        while step > 0 and (data := self._some(step)):
            self._keep(data)
            step -= len(data)
        return self._position

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer than `size` only at the end of the stream.

        Raises
        ------
        Refused
            So many can only be a header that was made to fill the memory.
        """
        if size > LONGEST_HEADER:
            raise Refused("The archive has a header that is too long to be honest.")
        found = b"".join(bytes(data) for data in self._parts(size))
        self._keep(found)
        return found

    def _keep(self, data: bytes | memoryview) -> None:
        self.head += data
        if len(self.head) > LONGEST_HEAD:
            raise Refused("The archive has more headers in a row than can be honest.")

    def _parts(self, size: int) -> Iterator[memoryview]:
        while size and (data := self._some(size)):
            size -= len(data)
            yield data

    def take(self, size: int) -> Iterator[memoryview]:
        """Yield the next `size` bytes in pieces, without keeping them in `head`.

        Raises
        ------
        EOFError
            The stream ends before.
        """
        while size:
            data = self._some(size)
            if not data:
                raise EOFError
            size -= len(data)
            yield data

    def rest(self) -> Iterator[memoryview]:
        """Yield what is left."""
        while data := self._some(1 << 20):
            yield data

    def _some(self, most: int) -> memoryview:
        """Return at least one and at most `most` bytes, none at the end."""
        while not self._current:
            chunk = next(self._chunks, None)
            if chunk is None:
                return memoryview(b"")
            self._current = memoryview(chunk)
        found, self._current = self._current[:most], self._current[most:]
        self._position += len(found)
        return found


class Helper:
    """A thread that does one thing after the other beside the one that fills it.

    Hashing, writing and decompressing let other threads run, so that they overlap. What fails in
    it is raised by the next call.

    Parameters
    ----------
    depth : int
        How much may wait; whoever adds more waits too.
    """

    def __init__(self, depth: int = 16) -> None:
        self._queue: queue.Queue[Callable[[], object] | None] = queue.Queue(depth)
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="data-helper")
        self._thread.start()

    def add(self, task: Callable[[], object]) -> None:
        """Do `task` after all that was added before."""
        self._raise()
        self._queue.put(task)

    def finish(self) -> None:
        """Wait for everything that was added, and end."""
        self.end()
        self._raise()

    def end(self) -> None:
        """End after what was added, without telling what failed."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _raise(self) -> None:
        if self._problem is not None:
            raise self._problem

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            if self._problem is None:
                try:
                    task()
                except BaseException as problem:  # noqa: BLE001 - told to the thread that adds
                    self._problem = problem
