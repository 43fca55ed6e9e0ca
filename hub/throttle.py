"""How often somebody may try to log in: a pure account of tries, in memory of bounded size.

Who guesses one person's password from one address waits longer after each mistake. Who guesses at
many names from one address has a steady, low rate. Who guesses at one name from many addresses gets
fewer tries at each, and that is all: nobody else's mistakes keep the person out who has the name.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

PAIR_FREE = 5
"""Mistakes with one name at one address before a wait."""
PAIR_FREE_UNDER_ATTACK = 1
"""The same, for a name at which many addresses guess."""
FIRST_WAIT_S = 15.0
LONGEST_WAIT_S = 900.0
ADDRESS_BURST = 30
"""Mistakes at one address, whatever the names: a class behind one address makes some at once."""
ADDRESS_REFILL_S = 10.0
"""After these, one more try each so many seconds."""
NAME_MOST = 30
"""Mistakes with one name before it counts as under attack."""
FORGOTTEN_S = 3600.0
MOST_KEPT = 20_000
"""Names, addresses and pairs kept, each; the one that was used longest ago goes first."""


@dataclass
class Mistakes:
    """How often something went wrong, and when last."""

    count: float = 0
    last: float = 0


class Kept:
    """Mistakes by key, never more than `MOST_KEPT`; those of long ago are forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Mistakes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, key: bytes, now: float) -> Mistakes:
        """Return the mistakes of a key, none where there are none to remember."""
        found = self._kept.get(key)
        return found if found and now - found.last < FORGOTTEN_S else Mistakes(0, now)

    def set(self, key: bytes, mistakes: Mistakes) -> None:
        """Remember the mistakes of a key."""
        self._kept[key] = mistakes
        self._kept.move_to_end(key)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def forget(self, key: bytes) -> None:
        """Forget a key."""
        self._kept.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


class Throttle:
    """Counts tries to log in, and says how long the next has to wait.

    Parameters
    ----------
    clock : callable
        Returns the time in seconds; it never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pairs, self._names, self._addresses = Kept(), Kept(), Kept()

    def wait_s(self, name: str, address: str) -> float:
        """Return in how many seconds this name may be tried from this address; 0 for now."""
        now = self._clock()
        return max(self._pair_wait_s(name, address, now), self._address_wait_s(address, now))

    def _pair_wait_s(self, name: str, address: str, now: float) -> float:
        attacked = self._names.of(key_of(name), now).count > NAME_MOST
        free = PAIR_FREE_UNDER_ATTACK if attacked else PAIR_FREE
        pair = self._pairs.of(key_of(name, address), now)
        if pair.count < free:
            return 0.0
        wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(pair.count - free, 30))
        return max(0.0, pair.last + wait - now)

    def _address_wait_s(self, address: str, now: float) -> float:
        used = drained(self._addresses.of(key_of(address), now), now)
        return max(0.0, (used + 1 - ADDRESS_BURST) * ADDRESS_REFILL_S)

    def begin(self, name: str, address: str) -> None:
        """Count a try as a mistake before it's known to be one: many may be under way at once."""
        now = self._clock()
        for kept, key in (
            (self._pairs, key_of(name, address)),
            (self._names, key_of(name)),
        ):
            kept.set(key, Mistakes(kept.of(key, now).count + 1, now))
        used = drained(self._addresses.of(key_of(address), now), now)
        self._addresses.set(key_of(address), Mistakes(used + 1, now))

    def take_back(self, name: str, address: str) -> None:
        """Take back what `begin` counted: the try wasn't a mistake, or nobody could judge it."""
        now = self._clock()
        for kept, key in (
            (self._pairs, key_of(name, address)),
            (self._names, key_of(name)),
            (self._addresses, key_of(address)),
        ):
            mistakes = kept.of(key, now)
            kept.set(key, Mistakes(max(0, mistakes.count - 1), mistakes.last))

    def succeed(self, name: str, address: str) -> None:
        """Forget what went wrong with this name at this address: it is its owner's."""
        self.take_back(name, address)
        self._pairs.forget(key_of(name, address))

    def lift(self) -> None:
        """Let everybody try again at once."""
        for kept in (self._pairs, self._names, self._addresses):
            kept.clear()

    @property
    def size(self) -> int:
        """How many names, addresses and pairs are remembered."""
        return len(self._pairs) + len(self._names) + len(self._addresses)


def drained(mistakes: Mistakes, now: float) -> float:
    """Return how much of an address's burst is used, after what has come back since."""
    return max(0.0, mistakes.count - (now - mistakes.last) / ADDRESS_REFILL_S)


def key_of(*parts: str) -> bytes:
    """Return a key of the same size for whatever was typed."""
    digest = blake2b(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.digest()
