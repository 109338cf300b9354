"""All switches, as an operator's command reaches them: on RabbitMQ by itself, on the embedded broker by its owner."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from uuid import uuid4

from pydantic import TypeAdapter

from console.admin_access import Ask, asking_owner, home_of
from runtime.broker import open_broker
from runtime.broker.base import Broker
from runtime.hold.switch import read, take_back, word_message
from runtime.hold.word import Word, decode, encode
from runtime.wire import monotonic_message_ids
from schemas.envelope import JsonObject
from schemas.errors import Misconfigured
from schemas.topology import STAGES, SWITCH_QUEUES, SWITCHES, Topology, feed_queue, sink_queue
from schemas.value import value
from workers.config import Config, config_topology
from workers.process import Command

COMMANDS: Final = ("switches", "hold", "release", "waiting")
_NAMES: Final = TypeAdapter(list[str])


@value
class Stand:
    """How one switch stands: `word` of who holds it, and how many processes are at work, older versions' too."""

    name: str
    word: Word | None
    at_work: int

    @property
    def rests(self) -> bool:
        """Whether it is held, and nobody is at work any more."""
        return self.word is not None and not self.at_work


@value
class Waiting:
    """What waits in a queue, and how many consume it."""

    messages: int
    readers: int


class Switchboard(Protocol):
    """What a command can do with switches, and see of queues; all of it raises Unavailable where nobody answers."""

    async def stands(self, names: Collection[str], *, words: bool = True) -> Sequence[Stand]:
        """How these stand; without `words` nobody is told who said so, and no word is touched."""
        ...

    async def hold(self, name: str, word: Word) -> bool:
        """Hold one; False where somebody does already, whose word stands."""
        ...

    async def release(self, name: str) -> None:
        """Take the word back, whoever's it is."""
        ...

    async def waiting(self, queues: Sequence[str]) -> Mapping[str, Waiting]:
        """What is ready in each of these that exists; on RabbitMQ without what a consumer has in hand."""
        ...


class OnBroker:
    """On a broker that we have open."""

    def __init__(self, broker: Broker, message_ids: Iterator[str], config: Config) -> None:
        self._broker = broker
        self._ids = message_ids
        self._config = config

    async def stands(self, names: Collection[str], *, words: bool = True) -> Sequence[Stand]:
        """As `Switchboard` promises."""
        seen = {name: (SWITCH_QUEUES[name], *queues_of(self._config, name)) for name in names}
        held = await self._broker.depths([switch for switch, *_ in seen.values()])
        readers = await self._broker.consumers([queue for queues in seen.values() for queue in queues])
        return [
            Stand(
                name=name,
                word=((words and await read(self._broker, name)) or Word()) if held.get(queues[0], 0) else None,
                at_work=max(readers.get(queue, 0) for queue in queues),
            )
            for name, queues in seen.items()
        ]

    async def hold(self, name: str, word: Word) -> bool:
        """As `Switchboard` promises."""
        queue = SWITCH_QUEUES[name]
        if (await self._broker.depths([queue])).get(queue, 0):
            return False
        await self._broker.publish([word_message(name, encode(word), next(self._ids))])
        return True

    async def release(self, name: str) -> None:
        """As `Switchboard` promises."""
        await take_back(self._broker, name)

    async def waiting(self, queues: Sequence[str]) -> Mapping[str, Waiting]:
        """As `Switchboard` promises."""
        held, readers = await self._broker.depths(queues), await self._broker.consumers(queues)
        return {name: Waiting(messages=messages, readers=readers.get(name, 0)) for name, messages in held.items()}


class OfOwner:
    """Of the process that owns the embedded broker."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def stands(self, names: Collection[str], *, words: bool = True) -> Sequence[Stand]:
        """As `Switchboard` promises."""
        told = await self._ask("switches", {"names": list(names), "words": words}, who="up")
        return [
            Stand(name=row["name"], word=decode(row["word"].encode()) if row["word"] else None, at_work=row["at_work"])
            for row in told["switches"]
        ]

    async def hold(self, name: str, word: Word) -> bool:
        """As `Switchboard` promises."""
        told = await self._ask("hold", {"name": name, "word": encode(word).decode()}, who="up")
        return bool(told["news"])

    async def release(self, name: str) -> None:
        """As `Switchboard` promises."""
        await self._ask("release", {"name": name}, who="up")

    async def waiting(self, queues: Sequence[str]) -> Mapping[str, Waiting]:
        """As `Switchboard` promises."""
        told = await self._ask("waiting", {"queues": list(queues)}, who="up")
        return {name: Waiting(messages=messages, readers=readers) for name, messages, readers in told["queues"]}


@asynccontextmanager
async def open_switchboard(config: Config) -> AsyncIterator[Switchboard]:
    """The switches of this config's broker.

    Raises:
        Misconfigured: there is no such broker, or it knows no switches yet.
        Unavailable: it does not answer.
    """
    async with AsyncExitStack() as stack:
        yield await _opened(config, stack)


async def _opened(config: Config, stack: AsyncExitStack) -> Switchboard:
    if config.broker.embedded and not (config.broker.file and config.broker.file.exists()):
        raise Misconfigured("nothing has ever run on that broker")
    try:
        broker = await stack.enter_async_context(open_broker(config.broker))
    except Misconfigured:
        if not config.broker.embedded or (home := home_of(config)) is None:
            raise
        return OfOwner(await stack.enter_async_context(asking_owner(config, home)))
    queues = tuple(one for one in config_topology(config).queues if one.name in SWITCH_QUEUES.values())
    await broker.check(Topology(queues=queues))
    return OnBroker(broker, monotonic_message_ids(uuid4().hex[:12]), config)


def owners_commands(broker: Broker, message_ids: Iterator[str], config: Config) -> Mapping[str, Command]:
    """What the owner of an embedded broker does for `OfOwner`."""
    board = OnBroker(broker, message_ids, config)

    async def switches(asked: JsonObject) -> JsonObject:
        return {"switches": [_row(stand) for stand in await board.stands(_known(asked["names"]), words=asked["words"])]}

    async def hold(asked: JsonObject) -> JsonObject:
        (name,) = _known([asked["name"]])
        return {"news": await board.hold(name, decode(asked["word"].encode()))}

    async def release(asked: JsonObject) -> JsonObject:
        (name,) = _known([asked["name"]])
        await board.release(name)
        return {}

    async def waiting(asked: JsonObject) -> JsonObject:
        found = await board.waiting(_NAMES.validate_python(asked["queues"]))
        return {"queues": [[name, one.messages, one.readers] for name, one in found.items()]}

    return dict(zip(COMMANDS, (switches, hold, release, waiting), strict=True))


def queues_of(config: Config, name: str) -> list[str]:
    """What a stage reads: who is subscribed there is at work, also one that knows of no switches; none of `ingest`."""
    if name not in STAGES:
        return []
    row = STAGES[name]
    sinks = [sink_queue(sink.name) for sink in config.sink] if row.parts == "sink" else []
    feeds = [feed_queue(queue.name) for queue in config.queue if queue.fed] if row.parts == "queue" else []
    return [*row.reads, *sinks, *feeds]


def _known(names: Any) -> list[str]:
    found = _NAMES.validate_python(names)
    if not set(found) <= set(SWITCHES):
        raise ValueError(found)
    return found


def _row(stand: Stand) -> JsonObject:
    word = encode(stand.word).decode() if stand.word else ""
    return {"name": stand.name, "word": word, "at_work": stand.at_work}


def word_of(by: str, why: str = "", *, drain: bool = False) -> Word:
    """What this operator says now."""
    return Word(by=by, since=datetime.now(UTC), why=why, drain=drain)
