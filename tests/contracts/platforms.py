"""What the contract of a platform is tried with: its sources, samples, and pushes that nobody promised."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import PurePath
from typing import Any, Final

from hypothesis import strategies as st

from schemas.dialect.dialect import AnyDialect
from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.notification import KEPT_HEADERS, Notification
from schemas.question import Decision
from schemas.settings.source import Source
from tests.building.damage import LEAVES, SHORT_TEXTS, any_json, damaged, names_or, places, unnamed
from tests.building.pushes import JSON, XML, a_push
from tests.building.samples import SAMPLES_OF_ALL

NUMBER: Final = "13866887021"
SECRET: Final = "a-secret-of-the-source"
SAMPLES: Final = {
    str(path.relative_to(SAMPLES_OF_ALL)): path.read_bytes() for path in sorted(SAMPLES_OF_ALL.glob("*/*"))
}

_MORE: Final[Mapping[str, Any]] = {
    "app_key": "key",
    "app_secret": SECRET,
    "control": True,
    "push_url": "https://door.example.com/v1/a-source/token",
}
_FORM: Final = "application/x-www-form-urlencoded"
_TIMES: Final = ("2019-01-24 02:30:03", "2024-03-05T06:07:08Z", "20240305140708", 1629893489000, "0001-01-01 00:00:00")
_HEADERS: Final = ('A realm="SDP", Username="k", PasswordDigest="d", Nonce="n", Created="2019-01-24T02:30:03Z"', "gzip")


def sources(dialect: AnyDialect) -> list[Source]:
    """A source that has only what each must have, and one with all that verifies, signs and asks."""
    least = {"name": "a-source", "platform": dialect.name, "tokens": ["token"]}
    more = {key: value for key, value in _MORE.items() if key in dialect.settings.model_fields}
    return [dialect.settings.model_validate(row) for row in (least, {**least, **more})]


def samples(dialect: AnyDialect) -> Mapping[str, bytes]:
    """The platform's own published payloads by file name; none, while nobody has put them there."""
    return {name: body for name, body in SAMPLES.items() if name.startswith(f"{dialect.name}/")}


def known(dialect: AnyDialect) -> Mapping[str, bytes]:
    """Payloads to make others of: its own, or those of all platforms while it has none."""
    return samples(dialect) or SAMPLES


def said(dialect: AnyDialect, push: Notification, source: Source) -> list[Parsed | str] | str:
    """What the dialect reads in it; a refusal, of an item or of the whole body, is its text."""
    try:
        return [str(item) if isinstance(item, Malformed) else item for item in dialect.parse(push, source)]
    except Malformed as refused:
        return str(refused)


@cache
def pushes(dialect: AnyDialect) -> st.SearchStrategy[Notification]:
    """Anything that may come to the door: samples, whole and damaged, JSON in the platform's words, any bytes."""
    anything = st.builds(
        Notification,
        path=_paths(dialect),
        remote=st.just("192.0.2.1"),
        content_type=st.sampled_from([JSON, XML, _FORM, ""]) | SHORT_TEXTS,
        headers=st.dictionaries(st.sampled_from(sorted(KEPT_HEADERS)), SHORT_TEXTS | st.sampled_from(_HEADERS)),
        body=st.binary(max_size=64)
        | st.sampled_from(sorted(known(dialect))).map(SAMPLES.__getitem__)
        | _cut(known(dialect))
        | any_item(dialect).map(lambda body: json.dumps(body).encode()),
    )
    return unnamed(anything)


@cache
def any_item(dialect: AnyDialect) -> st.SearchStrategy[Any]:
    """JSON in the platform's words, and its own JSON samples with some values changed or gone."""
    values = LEAVES | st.sampled_from([*_words(dialect)[1], *_TIMES, NUMBER, int(NUMBER)])
    anything = any_json(values, names_or(_words(dialect)[0]), fields=8)
    bodies = {name: body for name, body in json_of(dialect).items() if places(body)}
    return unnamed(anything | damaged(bodies, anything) if bodies else anything)


@cache
def json_of(dialect: AnyDialect) -> Mapping[str, Any]:
    """The payloads that are JSON, decoded."""
    return {name: json.loads(body) for name, body in known(dialect).items() if name.endswith(".json")}


@dataclass(frozen=True)
class Batch:
    """A sample that holds a list of items, each of which is a result of its own; `own` are the items it came with."""

    dialect: AnyDialect
    own: list[Any]
    of: Callable[[list[Any]], bytes]


@cache
def batches(dialect: AnyDialect) -> list[Batch]:
    """Its samples in which twice the items are twice the results."""
    found = []
    for body in [body for name, body in json_of(dialect).items() if name in samples(dialect)]:
        top = {"": body}
        for rows, key in places(top):
            if isinstance(rows[key], list) and rows[key]:
                batch = Batch(dialect=dialect, own=rows[key], of=partial(_with_items, top, rows, key))
                if _results(batch, 2) == 2 * _results(batch, 1):
                    found.append(batch)
    return found


def any_item_of(batch: Batch) -> st.SearchStrategy[Any]:
    """Its own items, whole and damaged, and any other JSON."""
    own = {str(n): item for n, item in enumerate(batch.own)}
    return unnamed(st.sampled_from(batch.own) | damaged(own, any_item(batch.dialect)) | any_item(batch.dialect))


def _results(batch: Batch, times: int) -> int:
    """How many results its own items have, each there so many times; none when the body as a whole is refused."""
    told = said(batch.dialect, a_push(batch.of(batch.own * times)), sources(batch.dialect)[0])
    return len(told) if isinstance(told, list) else 0


def _with_items(top: Mapping[str, Any], rows: Any, key: Any, items: list[Any]) -> bytes:
    own, rows[key] = rows[key], items
    try:
        return json.dumps(top[""]).encode()
    finally:
        rows[key] = own


DECISIONS: Final = st.builds(
    Decision,
    action=st.sampled_from(["connect", "close", "route", "discard"]),
    callee=st.none() | SHORT_TEXTS | st.just(f"+86{NUMBER}"),
    record=st.none() | st.booleans(),
    tones=st.none() | st.dictionaries(SHORT_TEXTS, SHORT_TEXTS, max_size=2),
    max_minutes=st.none() | st.integers(0, 1440),
    user_data=st.none() | SHORT_TEXTS,
)


def _paths(dialect: AnyDialect) -> st.SearchStrategy[str]:
    """A sample is named after what it is, and so are the paths by which some platforms tell one push from another."""
    stems = [PurePath(name).name.partition(".")[0] for name in known(dialect)]
    parts = [re.split("[-_]", stem) for stem in stems]
    named = {*stems, *("".join(map(str.title, row)) for row in parts), *(part for row in parts for part in row)}
    forms = {name: body for name, body in known(dialect).items() if name.endswith(".form")}
    asked = _cut(forms).map(lambda form: "/x?" + form.decode(errors="replace")) if forms else st.nothing()
    return st.just("") | SHORT_TEXTS | st.sampled_from(sorted(f"/{name}" for name in named)) | asked


def _words(dialect: AnyDialect) -> tuple[list[str], list[Any]]:
    """The names of fields in its samples, and the values of them."""
    names: set[str] = set()
    values: dict[str, Any] = {}
    for name, body in known(dialect).items():
        for word, value in _fields(name, body):
            names.add(word)
            values[repr(value)] = value
    return sorted(names), [values[word] for word in sorted(values)]


def _fields(name: str, body: bytes) -> Iterator[tuple[str, Any]]:
    if name.endswith(".json"):
        found: Sequence[tuple[Any, Any]] = places(json.loads(body))
        leaves = ((key, rows[key]) for rows, key in found if isinstance(key, str))
        yield from ((key, value) for key, value in leaves if not isinstance(value, dict | list))
    else:
        yield from re.findall(r"(\w+)(?:>|=)([^<>&]+)", body.decode())


@st.composite
def _cut(draw: st.DrawFn, bodies: Mapping[str, bytes]) -> bytes:
    """One of these, one to three short pieces of which are other bytes, or gone."""
    body = bytearray(bodies[draw(st.sampled_from(sorted(bodies)))])
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(len(body), start + 20)))
        body[start:end] = draw(st.binary(max_size=8))
    return bytes(body)
