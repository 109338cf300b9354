"""The whole config: the settings of all parts put together, and what only the whole can be checked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from runtime.verdict import RetryingStage, StageRetry
from schemas.platforms import DIALECTS
from schemas.settings import Choice, Duration, Ingest, Settings
from schemas.settings.addresses import Broker, Objects, Store, broker_address, objects_address, store_address
from schemas.settings.source import AskingSource, Source
from schemas.stage import Form
from schemas.topology import Subscription, Topology, feed_queue, sink_queue, topology
from workers.calls.step import Patience
from workers.decide import Rule
from workers.retention import AS_EVER, Retention
from workers.sinks import AnySink

_FED_AT_ONCE: Final = 128


class _ByPlatform:
    """The settings of the dialect that `platform` names."""

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        settings = {name: handler.generate_schema(dialect.settings) for name, dialect in DIALECTS.items()}
        return core_schema.tagged_union_schema(settings, discriminator="platform")


def _foreign(name: str) -> str:
    if name.startswith(("callstitch.", "amq.")):
        raise ValueError("names that start with callstitch. or amq. are reserved")
    return name


class DownstreamQueue(Choice):
    """A queue of exactly this name, declared and bound for the team that consumes it; `batch`: in batches.

    `single_active`: of several consumers one at a time gets messages. `stream`: a stream in place of a quorum queue.
    `content`: whether an event's attributes stand in its bytes, or in headers alone. With `max_length`, `max_age`, a
    filter by what events say, or bytes of its own it is *fed*: bound to nothing, and filled by a stage of ours whose
    queue holds what it has no room for.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,120}$"), AfterValidator(_foreign)]
    batch: bool = False
    single_active: bool = False
    stream: bool = False
    max_length: Annotated[int, Field(ge=1)] | None = None
    max_age: Duration | None = None
    content: Literal["structured", "binary"] = "structured"

    @model_validator(mode="after")
    def _a_batch_is_structured(self) -> Self:
        if self.batch and self.content == "binary":
            raise ValueError("a batch has no binary content: its events have no headers of their own")
        return self

    @model_validator(mode="after")
    def _a_stream_has_many_readers(self) -> Self:
        if self.stream and self.single_active:
            raise ValueError("a stream has no single_active and no dead letters: each of its consumers reads all of it")
        if self.stream and (self.max_length is not None or self.max_age is not None):
            raise ValueError("a stream has no max_length and no max_age here: a policy of RabbitMQ bounds it")
        return self

    @property
    def fed(self) -> bool:
        """Whether a stage of ours fills it."""
        limited = self.max_length is not None or self.max_age is not None
        return limited or self.filtered or self.view is not None or self.content == "binary"

    @property
    def form(self) -> Form:
        """In which its feed puts events there."""
        return "batch" if self.batch else self.content

    @property
    def step(self) -> int:
        """How many messages its feed puts there at once: where it is nearly full, few come above the limit."""
        return max(1, min(_FED_AT_ONCE, (self.max_length or _FED_AT_ONCE) // 8))

    @property
    def subscriptions(self) -> Sequence[Subscription]:
        """The queue, bound to what it wants; a fed one is bound to nothing, and the queue of its feed in its place."""
        plain = Subscription(
            queue=self.name,
            events=self.events,
            sources=self.sources,
            batch=self.batch,
            downstream=True,
            single_active=self.single_active,
            stream=self.stream,
        )
        if not self.fed:
            return [plain]
        age = self.max_age.total_seconds() if self.max_age else None
        feed = Subscription(queue=feed_queue(self.name), events=self.events, sources=self.sources, batch=True)
        return [feed, replace(plain, events=(), max_length=self.max_length, max_age_seconds=age)]


Outgoing = AnySink | DownstreamQueue


class Config(Settings):
    """The whole file."""

    broker: Broker = broker_address("embedded:var/broker.db")
    store: Store = store_address("sqlite:var/state")
    objects: Objects = objects_address("file:var/recordings")
    ingest: Ingest = Ingest()
    source: tuple[Annotated[Source, _ByPlatform()], ...] = ()
    sink: tuple[Annotated[AnySink, Field(discriminator="kind")], ...] = ()
    queue: tuple[DownstreamQueue, ...] = ()
    rule: tuple[Rule, ...] = ()
    retention: Retention = AS_EVER
    retry: Mapping[RetryingStage, StageRetry] = {}

    @property
    def asking(self) -> Mapping[str, AskingSource]:
        """By name the sources with `control = true`, whose pushes may be questions."""
        return {one.name: one for one in self.source if isinstance(one, AskingSource) and one.control}

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for kind, names in (
            ("source", [row.name for row in self.source]),
            ("sink", [row.name for row in self.sink]),
            ("queue", [row.name for row in self.queue]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"two [[{kind}]] tables have the same name")
        return self

    @model_validator(mode="after")
    def _queues_are_read(self) -> Self:
        if self.queue and self.broker.embedded:
            raise ValueError(
                'a [[queue]] needs RabbitMQ (broker = "amqp://..."): nobody else can read from the embedded broker;'
                " a [[sink]] takes the same events to a webhook or a file"
            )
        return self

    @model_validator(mode="after")
    def _sources_exist(self) -> Self:
        known = {source.name for source in self.source}
        for row in (*self.sink, *self.queue):
            if unknown := set(row.sources) - known:
                raise ValueError(f"{row.name} names sources that do not exist: {', '.join(sorted(unknown))}")
        return self

    @model_validator(mode="after")
    def _platforms_have_sources(self) -> Self:
        known = {source.platform for source in self.source}
        for row in (*self.sink, *self.queue):
            if set(row.platforms) - DIALECTS.keys():
                raise ValueError(f"{row.name}: its platforms must be among {', '.join(DIALECTS)}")
            if silent := set(row.platforms) - known:
                raise ValueError(f"{row.name} names platforms that no source has: {', '.join(sorted(silent))}")
            if row.platforms and not _chosen(self, row).sources:
                raise ValueError(f"{row.name} names sources of which none is of its platforms")
        return self

    @model_validator(mode="after")
    def _questions_are_asked(self) -> Self:
        if silent := {rule.source for rule in self.rule} - self.asking.keys():
            raise ValueError(f"a rule needs a source with control = true: {', '.join(sorted(silent))}")
        return self


Row = TypeVar("Row", bound=Choice)


def _chosen(config: Config, row: Row) -> Row:
    """The row with its platforms told as their sources, by which a broker can bind."""
    if not row.platforms:
        return row
    of_them = [source.name for source in config.source if source.platform in row.platforms]
    names = tuple(name for name in of_them if not row.sources or name in row.sources)
    return row.model_copy(update={"sources": names})


def config_topology(config: Config) -> Topology:
    """The topology that the config's sinks and downstream queues need."""
    sinks = [
        Subscription(
            queue=sink_queue(sink.name), events=sink.events, sources=sink.sources, batch=sink.batch is not False
        )
        for sink in (_chosen(config, sink) for sink in config.sink)
    ]
    queues = [one for queue in config.queue for one in _chosen(config, queue).subscriptions]
    return topology([*sinks, *queues], [source.name for source in config.source])


def outlets_of(config: Config) -> Mapping[str, Outgoing]:
    """By its queue each table of the config by which events leave: a sink, or a downstream queue."""
    sinks = {sink_queue(sink.name): _chosen(config, sink) for sink in config.sink}
    return {**sinks, **{queue.name: _chosen(config, queue) for queue in config.queue}}


def outlet_queues(config: Config) -> frozenset[str]:
    """The queues that events leave by: of sinks, downstream ones, and those from which these are fed."""
    feeds = [feed_queue(queue.name) for queue in config.queue if queue.fed]
    return frozenset(
        [*(sink_queue(sink.name) for sink in config.sink), *(queue.name for queue in config.queue), *feeds]
    )


def patience_of(config: Config) -> Mapping[str, Patience]:
    """How long each source waits, by name."""
    return {
        source.name: Patience(
            settle=source.settle,
            cdr_wait=source.cdr_wait,
            open_max=source.open_max,
            billing=source.billing,
            call_events=source.call_events and not DIALECTS[source.platform].whole_by_cdr,
        )
        for source in config.source
    }
