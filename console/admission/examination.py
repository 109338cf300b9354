"""`callstitch check`: whether all that the config names would let the roles work; every fault at once, nothing stays.

What cannot be told from here: whether a customer's endpoint answers (nothing is posted), and the broker's clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from console.admission import edges, moving
from console.admission.leftovers import leftovers, told_of
from console.admission.plan import missing_from, sentences
from console.config_file import redacted_url
from console.stations.switchboard import open_switchboard
from runtime.broker import open_broker
from runtime.files import see_writable
from schemas.errors import CallstitchError, Misconfigured
from schemas.settings import no_token, weak_token
from schemas.settings.source import Source
from schemas.topology import SWITCHES, Binding
from workers.config import Config, config_topology
from workers.objects import open_objects
from workers.stores import examine, open_reads

CLOCKS_APART: Final = timedelta(seconds=2)  # as long as a call waits for what is missing (`settle`)

Finding = str | CallstitchError


async def findings(config: Config) -> AsyncIterator[Finding]:
    """What is right, in sentences, what is worth a thought, beginning with `look:`, and what is wrong, as errors."""
    yield f"config: {len(config.source)} source(s), {len(config.sink)} sink(s), {len(config.queue)} queue(s)"
    for warning in warnings(config):
        yield f"look: {warning}"
    for part in (_tokens, _objects, _sinks, _broker, _holds, _store):
        try:
            async for finding in part(config):
                yield finding
        except CallstitchError as error:
            yield error


def see_admitted(config: Config) -> None:
    """See that no door would open with a token that anybody can guess.

    Raises:
        Misconfigured: one would; it is named, not shown.
    """
    for n, source in enumerate(config.source):
        for m, token in enumerate(source.tokens):
            if no_token(token.get_secret_value()):
                raise Misconfigured(f"source.{n}.tokens.{m}: fewer than 8 characters: anybody can guess that token")


def warnings(config: Config) -> Iterator[str]:
    """What is allowed, and seldom meant."""
    if not config.source:
        yield "the config has no [[source]]: the door refuses every push"
    for source in config.source:
        for number, token in enumerate(source.tokens):
            if weak_token(token.get_secret_value()):
                yield f"source {source.name}: tokens.{number} is short: 22 random characters make 128 bits"
        if _takes_unsigned(source):
            yield (
                f'source {source.name}: verify = "when_present" lets a push without a signature pass, whoever sent it;'
                ' "always" refuses it'
            )


def _takes_unsigned(source: Source) -> bool:
    secret, verify = getattr(source, "app_secret", None), getattr(source, "verify", None)
    return secret is not None and verify == "when_present"


async def _tokens(config: Config) -> AsyncIterator[Finding]:
    see_admitted(config)
    if config.source:
        yield f"tokens: {sum(len(source.tokens) for source in config.source)}"


async def _objects(config: Config) -> AsyncIterator[Finding]:
    if config.objects.directory is not None:  # not opened, which would make it
        see_writable(config.objects.directory)
    else:
        await open_objects(config.objects).see_writable()
    yield f"objects: {redacted_url(config.objects.text)}"


async def _sinks(config: Config) -> AsyncIterator[Finding]:
    for sink in config.sink:
        try:
            await sink.check()
            yield f"sink {sink.name}: {sink.kind}"
        except CallstitchError as error:
            yield error


async def _broker(config: Config) -> AsyncIterator[Finding]:
    recorded = await _recorded(config)
    async with open_broker(config.broker) as broker:
        decided = moving.as_declared(config, recorded, await moving.declared_before(broker, config))
        wanted = config_topology(decided)
        yield f"broker: {redacted_url(config.broker.text)} answers"
        for fault in await broker.differing(wanted):
            yield Misconfigured(f"broker: {fault}; a changed one needs another name, or to be deleted first")
        exchanges, queues = await missing_from(broker, wanted)
        for sentence in sentences(exchanges, queues, wanted, recorded):
            yield f"plan: declare would {sentence}"
        lossy = [] if queues else await edges.told_of(config, broker)
        try:  # last, as a broker in an alarm reads nothing more after it
            if untold := await broker.try_rights():
                yield f"look: broker: {untold}"
        except CallstitchError as error:
            yield error
        if exchanges or queues:
            missing = f"{len(exchanges)} exchange(s) and {len(queues)} queue(s), as planned above"
            raise Misconfigured(f"run `callstitch declare` first: not declared: {missing}")
        yield "broker: the topology is declared"
        for sentence in moving.told_of(config, decided):
            yield f"look: {sentence}"
        for line in lossy:
            yield line if isinstance(line, edges.Verbatim) else f"look: {line}"


async def _holds(config: Config) -> AsyncIterator[Finding]:
    """What an operator holds; where nobody tells, the broker's part says why."""
    try:
        async with open_switchboard(config) as board:
            stands = await board.stands(SWITCHES)
    except CallstitchError:
        return
    for stand in stands:
        if stand.word is not None:
            yield f"look: {stand.name} is held {stand.word}: `callstitch hold {stand.name} --end` lets it go on"


async def _recorded(config: Config) -> Sequence[Binding]:
    """What was declared before; nothing where nobody tells, which the store's part says."""
    try:
        async with open_reads(config.store) as reads:
            return await reads.declared()
    except CallstitchError:
        return ()


async def _store(config: Config) -> AsyncIterator[Finding]:
    examined = await examine(config.store)
    yield f"store: {redacted_url(config.store.text)} can be read and written"
    for sentence in examined.looks:
        yield f"look: {sentence}"
    apart = abs(examined.now - datetime.now(UTC)) if examined.now else timedelta(0)
    if apart > CLOCKS_APART:
        yield f"look: this machine's clock and the store's are {apart.total_seconds():.0f} s apart: run NTP on both"
    async with open_reads(config.store) as reads:
        await reads.holds_state()
        left = leftovers(await reads.declared(), config_topology(config))
    if left:
        async with open_broker(config.broker) as broker:
            for sentence in told_of(await broker.depths(left)):
                yield f"look: {sentence}; `callstitch declare` unbinds it, `declare --prune` deletes it"
