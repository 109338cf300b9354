"""No traces: each push still has a traceparent, which its envelopes and events carry for whoever traces downstream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from schemas.envelope import Envelope, new_trace
from schemas.stage import Failed


class _Accepting:
    """One for all pushes: it holds nothing."""

    def __enter__(self) -> str:
        return new_trace()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing to tell."""


_ACCEPTING: Final = _Accepting()
_STORING: Final = nullcontext()


@dataclass(frozen=True, slots=True)
class _Batch:
    work: Sequence[Envelope]

    def handled(self, outcome: Sequence[Envelope | Failed]) -> None:
        """Nothing to tell."""


class _NoTracing:
    def accepting(self, _: str, __: float) -> AbstractContextManager[str]:
        return _ACCEPTING

    def storing(self, _: Iterable[Envelope]) -> AbstractContextManager[object]:
        return _STORING

    def handling(self, _: str, work: Sequence[Envelope]) -> AbstractContextManager[_Batch]:
        return nullcontext(_Batch(work))

    def telling(self, _: str, envelopes: Sequence[Envelope]) -> AbstractContextManager[Sequence[Envelope]]:
        return nullcontext(envelopes)


NO_TRACING: Final = _NoTracing()
