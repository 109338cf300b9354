"""Nonces that this process has seen: a question is signed for one use (docs/protocols/aliyun-pnp.md section 2)."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

MOST: Final = 100_000  # some 15 MB; at 50 questions a second it covers half an hour
_DIGEST_BYTES: Final = 16


class Nonces:
    """The nonces of one source, each remembered for `keep`, at most `most` of them: beyond that the oldest go.

    A timestamp may be `clock_skew` early or late, so `keep` is twice that skew: a replay that comes later is refused
    for its timestamp. Other processes have memories of their own. Only nonces of right signatures belong here, or a
    stranger could push the true ones out.
    """

    def __init__(self, *, keep: timedelta, most: int = MOST) -> None:
        self._keep = keep
        self._most = most
        self._until: OrderedDict[bytes, datetime] = OrderedDict()  # by their end, since all are kept equally long

    def is_new(self, nonce: str, now: datetime) -> bool:
        """Whether nobody has shown this nonce before; from now on somebody has. `now` never goes back."""
        self._forget(now)
        digest = hashlib.blake2b(nonce.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest()
        if digest in self._until:
            return False
        if len(self._until) >= self._most:
            self._until.popitem(last=False)
        self._until[digest] = now + self._keep
        return True

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._until)

    def _forget(self, now: datetime) -> None:
        while self._until and next(iter(self._until.values())) < now:
            self._until.popitem(last=False)
