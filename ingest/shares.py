"""What may be under way at the door at once, in requests and in bytes, with a share for each source and address.

One source may hold as much as is left for all others: alone half of everything, and however many take what they can
(URLs that leaked), whoever else comes finds as much again as each of them has. The same goes for one address where
addresses tell strangers apart; behind a proxy, which is one address for all, they do not.
"""

from __future__ import annotations

from typing import Final

from schemas.errors import Rejected

REQUESTS: Final = 2000  # of one source alone: 1,000
BYTES: Final = 64 * 1024 * 1024  # of bodies that are still arriving, or wait for the broker's confirm
SMALL_BYTES: Final = 4 * 1024  # a body that came whole with its head and is no longer is not counted: 8 MiB in all


class Held:
    """What one source, one address, or all together have under way."""

    __slots__ = ("requests", "size")

    def __init__(self) -> None:
        self.requests = 0
        self.size = 0


class Shares:
    """Lets requests in and out; of at most `connections` they can be no more than those, and keep none of them all.

    `by_address`: an address has a share, too.
    """

    def __init__(self, connections: int = REQUESTS, *, by_address: bool = True) -> None:
        self._most = min(REQUESTS, connections)
        self._by_address = by_address
        self._addresses: dict[str, Held] = {}
        self.all = Held()

    def enter(self, source: Held, address: str) -> Stay:
        """One more request; `leave` ends its stay.

        Raises:
            Rejected: too many are under way (503).
        """
        left = self._most - self.all.requests
        other = self._addresses.get(address) or Held() if self._by_address else None
        if source.requests >= left or (other is not None and other.requests >= left):
            raise Rejected("too many requests at once", status=503)
        if other is not None:
            self._addresses[address] = other
            other.requests += 1
        self.all.requests += 1
        source.requests += 1
        return Stay(self, source, other, address)

    def forget(self, address: str) -> None:
        """Nothing of this address is under way any more."""
        del self._addresses[address]

    def __len__(self) -> int:
        """How many addresses have something under way."""
        return len(self._addresses)


class Stay:
    """One request that is under way."""

    __slots__ = ("_address", "_other", "_shares", "_size", "_source")

    def __init__(self, shares: Shares, source: Held, other: Held | None, address: str) -> None:
        self._shares = shares
        self._source = source
        self._other = other
        self._address = address
        self._size = 0

    def take(self, size: int) -> None:
        """So many more bytes of its body are here.

        Raises:
            Rejected: too many are under way (503).
        """
        everything, source, other = self._shares.all, self._source, self._other
        left = BYTES - everything.size
        if source.size + size > left or (other is not None and other.size + size > left):
            raise Rejected("too many bytes at once", status=503)
        everything.size += size
        source.size += size
        if other is not None:
            other.size += size
        self._size += size

    def leave(self) -> None:
        """It is answered."""
        everything, source, other = self._shares.all, self._source, self._other
        everything.requests -= 1
        source.requests -= 1
        if size := self._size:
            everything.size -= size
            source.size -= size
        if other is None:
            return
        other.requests -= 1
        other.size -= size
        if not other.requests:
            self._shares.forget(self._address)
