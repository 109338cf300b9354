"""What is posted: items, posts that wait for their turn, and the tools by which each platform's plan is made."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from random import Random
from typing import Any, Literal, get_args

Content = dict[str, Any]
Kind = Literal["event", "cdr", "recording", "sms", "number", "notice"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FIRST_MESSAGE = 1_000_000  # what is no call is numbered from here on
Key = tuple[int, str]
LATER_MINUTES = (1, 4, 9)


@dataclass(frozen=True)
class Item:
    """One thing that is told of a call, a message or a number; a corrected CDR has its name and another version."""

    call: int
    name: str
    version: int
    kind: Kind
    content: Content


@dataclass(frozen=True, kw_only=True)
class Form:
    """Where a body goes behind the source's URL, of which type it is, and how it is written.

    `write` takes the contents in their order, and the account's key.
    """

    path: str
    content_type: str
    write: Callable[[Sequence[Content], str], bytes]


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A post without its number; `moment` gives the order only, nobody waits for it."""

    moment: datetime
    items: tuple[Item, ...]
    form: Form
    pause_minutes: int = 0
    needs: tuple[Item, ...] = ()
    alone: bool = False  # never merged with neighbours
    asks: bool = False


@dataclass(frozen=True, kw_only=True)
class Push:
    """One POST: sent when every earlier one of its calls is over, and skipped unless `needs` were accepted.

    `asks`: somebody waits for the answer, which says what the platform has to do.
    """

    n: int
    items: tuple[Item, ...]
    needs: tuple[Item, ...]
    form: Form
    pause_minutes: int
    again: bool
    asks: bool = False

    @property
    def kind(self) -> Kind:
        """The kind of its items, which are all of one kind."""
        return self.items[0].kind

    @cached_property
    def calls(self) -> tuple[int, ...]:
        """The calls that it speaks of, each once."""
        return tuple(dict.fromkeys(item.call for item in self.items))

    def body(self, *, app_key: str) -> bytes:
        """The bytes to post, the same at every attempt."""
        return self.form.write([item.content for item in self.items], app_key)


def object_of(body: bytes) -> Content:
    """The JSON object of an answer; empty when it is none."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def as_it_went(push: Push, asked: Collection[int], again: Callable[[Item], Item | None]) -> Push | None:
    """The same post after the answers to what `asked`, numbers of calls; None when all of it fell away.

    `again` makes an item of such a call as the answer left it, None where it is not told any more.
    """
    if push.asks or not any(call in asked for call in push.calls):
        return push
    items = [again(item) if item.call in asked else item for item in push.items]
    left = tuple(item for item in items if item is not None)
    return replace(push, items=left) if left else None


def key_of(item: Item) -> Key:
    """What an item has in common with its corrections."""
    return item.call, item.name


def sent_at(first: Iterable[Draft]) -> dict[Key, datetime]:
    """When each item is posted for the first time."""
    return {key_of(item): draft.moment for draft in first for item in draft.items}


def pack(rng: Random, singles: Sequence[Draft], sizes: Sequence[int]) -> list[Draft]:
    """Posts of one item each as posts of several, each posted with the last of its items."""
    packed = []
    left = list(singles)
    while left:
        size = rng.choice(sizes)
        taken, left = left[:size], left[size:]
        items = tuple(draft.items[0] for draft in taken)
        packed.append(Draft(moment=max(draft.moment for draft in taken), items=items, form=taken[0].form))
    return packed


def later(rng: Random, draft: Draft, *, moment: datetime | None = None) -> Draft:
    """The same items once more although 200 was answered."""
    minutes = rng.choice(LATER_MINUTES)
    return Draft(
        moment=(moment or draft.moment) + timedelta(minutes=minutes),
        items=draft.items,
        form=draft.form,
        pause_minutes=minutes,
        needs=draft.items,
    )


def number(drafts: Iterable[Draft]) -> list[Push]:
    """Posts in order of their moments, each knowing if all of it was posted before."""
    pushes = []
    known: set[tuple[int, str, int]] = set()
    for n, draft in enumerate(sorted(drafts, key=lambda draft: draft.moment), start=1):
        content = {(*key_of(item), item.version) for item in draft.items}
        push = Push(
            n=n,
            items=draft.items,
            needs=draft.needs,
            form=draft.form,
            pause_minutes=draft.pause_minutes,
            again=content <= known,
            asks=draft.asks,
        )
        known |= content
        pushes.append(push)
    return pushes
