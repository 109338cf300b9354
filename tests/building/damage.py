"""Input that nobody promised: any JSON, and good samples with a few values changed or gone."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")

MOST_CHANGES: Final = 4
SHORT_TEXTS: Final = st.text(st.characters(codec="utf-8"), max_size=12)
LEAVES: Final = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | SHORT_TEXTS
)


def names_or(known: list[str]) -> st.SearchStrategy[str]:
    """The platform's own field names, and others."""
    return st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(known)


def any_json(
    leaves: st.SearchStrategy[Any], names: st.SearchStrategy[str], *, fields: int = 5, most: int = 20
) -> st.SearchStrategy[Any]:
    """JSON of these leaves and names, with at most so many fields in an object and so many leaves in all."""
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=fields),
        max_leaves=most,
    )


def unnamed(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """The same, but hypothesis does not print what it is made of: it warns when that is long."""

    @st.composite
    def drawn(draw: st.DrawFn) -> T:
        return draw(strategy)

    return drawn()


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, name or index) in a JSON value."""
    found: list[tuple[Any, Any]] = []
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in rows:
        found += [(value, name), *places(inner)]
    return found


@st.composite
def damaged(draw: st.DrawFn, samples: Mapping[str, Any], values: st.SearchStrategy[Any]) -> Any:
    """One of the samples, with one to four values replaced or deleted wherever they stand."""
    body = copy.deepcopy(samples[draw(st.sampled_from(sorted(samples)))])
    for _ in range(draw(st.integers(1, MOST_CHANGES))):
        container, name = draw(st.sampled_from(places(body) or [({"": 0}, "")]))
        if draw(st.booleans()):
            container[name] = draw(values)
        else:
            del container[name]
    return body
