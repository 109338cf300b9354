"""What the door and the stages tell of their work; the words of a trace hold no number, token or link."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from schemas.envelope import Envelope
from schemas.stage import Failed


class Batch(Protocol):
    """A batch in work."""

    @property
    def work(self) -> Sequence[Envelope]:
        """What to handle in place of what came: all that follows from it goes on in the trace from here."""
        ...

    def handled(self, outcome: Sequence[Envelope | Failed]) -> None:
        """The handler has ended so, and its outcome is being published; a batch that ends without it is put back."""
        ...


class Tracing(Protocol):
    """One of a process; what it hands out are contexts, and what they wrap is what took the time."""

    def accepting(self, source: str, started: float) -> AbstractContextManager[str]:
        """A push of that source, whose request began at `started` (perf_counter): the traceparent of all that follows.

        It ends with what is raised, or with a 200.
        """
        ...

    def storing(self, envelopes: Iterable[Envelope]) -> AbstractContextManager[object]:
        """What the door publishes together; it is looked at only while somebody wants it."""
        ...

    def handling(self, stage: str, work: Sequence[Envelope]) -> AbstractContextManager[Batch]:
        """From a batch that is read to its ack."""
        ...

    def telling(self, stage: str, envelopes: Sequence[Envelope]) -> AbstractContextManager[Sequence[Envelope]]:
        """What a stage publishes of its own accord; what is in no trace yet begins one."""
        ...
