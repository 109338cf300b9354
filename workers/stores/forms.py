"""In which forms events are wanted, as `declare` says and correlate and park read it."""

from __future__ import annotations

from typing import Protocol

from schemas.topology import Forms


class FormStore(Protocol):
    """Shared by all processes that publish events, and by whoever declares; Unavailable as for every store."""

    async def forms(self) -> Forms:
        """What was said last; none where nobody ever did."""
        ...

    async def serve(self, forms: Forms) -> None:
        """From now on in these, and no others."""
        ...
