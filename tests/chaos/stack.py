"""The processes of a run: `callstitch up` alone, or a role each on RabbitMQ, with the services that they stand on."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from schemas.topology import RECEIVED, Subscription, feed_queue, sink_queue, topology
from tests.chaos.backstage import Backstage, Cuttable, open_backstage
from tests.chaos.consumer import NAME, QUEUE, Consumer
from tests.chaos.disk import Disk
from tests.chaos.kept import Exits, Kept
from tests.chaos.player import Player
from tests.chaos.process_faults import HOURS_WRONG
from tests.chaos.receiver import Receiver
from tests.chaos.scene import Scene, declare
from tests.chaos.service import Service
from tests.chaos.settings import Settings
from tests.chaos.store_faults import make_user
from tests.e2e.programs import Role, end
from tests.e2e.running import APP_KEY, Emulator, Up, prepared_up
from tests.services import ports
from tests.services.faketime import WallClock
from tests.services.postgresql import PostgreSQL
from tests.services.rabbitmq import OLDEST, RabbitMQ
from tests.services.rabbitmq_cluster import Cluster

HOOK_SECRET: Final = "CHAOS_HOOK_SECRET"
# A CDR that is pushed again after an outage comes after call.incomplete: that way is walked too.
CDR_WAIT: Final = "20s"
READY_SECONDS: Final = 120.0
# The platform pushes again after 1, 4, 9, 106, 203, 300 minutes: here 0.1 to 30 s, or 0.04 to 12 s where no service has
# to start; longer than an outage lasts.
REPUSH_FACTOR: Final[Mapping[str, int]] = {"rabbitmq": 600, "embedded": 1500}
# A recording that is "not there yet" twice and meets a fault besides, by default tries again in ten minutes: here too
# late for a run that looks at its end whether it is there.
RETRIES: Final = '[retry.fetch_recording]\nschedule = ["1s", "5s", "5s", "5s", "30s", "30s"]\n'
CONCURRENCY: Final = 256  # a platform goes on pushing while the door waits three seconds for a broker that is away
STAGES: Final = ("dedupe", "correlate", "fetch_recording", "park")
SINKS: Final = ("file", "hook")
EVENTS: Final = "calls.jsonl"
DISK: Final = "disk"


@dataclass(kw_only=True)
class Stack:
    """Everything that runs; the store and broker URLs are the checker's, past every proxy."""

    door: Up
    emulator: Emulator
    receiver: Receiver
    roles: Mapping[str, Kept]
    exits: Exits
    player: Player
    services: Mapping[str, Service]
    wires: Mapping[str, Cuttable]
    store: str
    broker: str | None
    consumer: Consumer | None
    queues: Sequence[str] = field(default=())

    @property
    def targets(self) -> dict[str, Sequence[str]]:
        """What each kind of fault may hit."""
        roles = list(self.roles)
        return {"kill": roles, "term": roles, "proxy": list(self.wires), **{name: [name] for name in self.services}}


@contextmanager
def open_stack(settings: Settings, calls: int) -> Iterator[Stack]:
    """All processes ready and the platform not started yet; everything is killed at the end."""
    with ExitStack() as cleaning:
        backstage = cleaning.enter_context(open_backstage())
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        receiver = Receiver(secret=secret, failing=settings.wants("webhook"))
        disk = _disk(settings, cleaning)
        urls = _Urls(settings, backstage, cleaning)
        door = prepared_up(
            settings.directory,
            extra=_hook(backstage.serve(receiver)) + RETRIES + (QUEUE if urls.own_broker else ""),
            environ={HOOK_SECRET: secret},
            command=("up",) if settings.stack == "embedded" else ("ingest",),
            broker=urls.broker,
            store=urls.store,
            objects=f"file:{urls.place}recordings",
            cdr_wait=CDR_WAIT,
        )
        exits = Exits()
        if settings.stack == "rabbitmq":
            declare(door)
        roles = _roles(settings, door, exits)
        clocks = _clocks(settings, roles)
        emulator = _emulator(settings, door, calls)
        cleaning.callback(lambda: end(emulator, *(kept.role for kept in roles.values())))
        player = Player(_scene(settings, door, roles, exits=exits, urls=urls, disk=disk, clocks=clocks))
        cleaning.callback(player.close)
        for kept in roles.values():
            kept.start()
        for kept in roles.values():
            kept.role.wait_until_ready(READY_SECONDS)
        consumer = _consumer(urls, cleaning)
        yield Stack(
            door=door,
            emulator=emulator,
            receiver=receiver,
            roles=roles,
            exits=exits,
            player=player,
            services=urls.services,
            wires=urls.wires,
            store=urls.own_store,
            broker=urls.own_broker,
            consumer=consumer,
            queues=_queues(),
        )


def _consumer(urls: _Urls, cleaning: ExitStack) -> Consumer | None:
    """Of the queue that is fed, where there is one: on the embedded broker nobody could read it."""
    if urls.own_broker is None:
        return None
    consumer = Consumer()
    cleaning.callback(consumer.close)
    consumer.start(urls.own_broker)
    return consumer


def _scene(
    settings: Settings,
    door: Up,
    roles: Mapping[str, Kept],
    *,
    exits: Exits,
    urls: _Urls,
    disk: Disk | None,
    clocks: Mapping[str, WallClock],
) -> Scene:
    return Scene(
        door=door,
        roles=roles,
        worker=lambda name, like: _another(door, name, roles[like].role),
        longest=settings.longest_freeze,
        exits=exits.wrong,
        node=urls.node if isinstance(urls.node, RabbitMQ) else None,
        vhost=(urls.own_broker or "").rpartition("/")[2],
        database=urls.own_store,
        disk=disk,
        clocks=clocks,
    )


class _Urls:
    """The services of this stack and where the roles reach them: through a proxy when its faults are wanted."""

    def __init__(self, settings: Settings, backstage: Backstage, cleaning: ExitStack) -> None:
        self.services: dict[str, Service] = {}
        self.wires: dict[str, Cuttable] = {}
        self.place = f"{DISK}/" if settings.wants("disk_full") else ""
        self.node: RabbitMQ | Cluster | None = None
        self.broker, self.own_broker = f"embedded:{self.place}broker.db", None
        self.store = f"sqlite:{self.place}state"
        self.own_store = f"sqlite:{settings.directory}/{self.place}state"
        if settings.stack == "rabbitmq":
            self.node = node = Cluster(leads=RECEIVED) if settings.cluster else RabbitMQ(OLDEST)
            self._keep("broker", Service("broker", node, others_serve=settings.cluster), cleaning)
            self.own_broker = node.make_vhost()
            self.broker = self._wired("broker", self.own_broker, settings, backstage)
        if settings.store == "postgresql":
            cluster = PostgreSQL()
            self._keep("store", Service("store", cluster), cleaning)
            self.own_store = cluster.make_database()
            self.store = self._wired("store", make_user(self.own_store), settings, backstage)

    def _keep(self, name: str, service: Service, cleaning: ExitStack) -> None:
        cleaning.callback(service.close)
        self.services[name] = service

    def _wired(self, name: str, url: str, settings: Settings, backstage: Backstage) -> str:
        if not settings.wants("proxy"):
            return url
        wired, self.wires[f"{name} wire"] = backstage.wire(url)
        return wired


def _hook(url: str) -> str:
    return (
        f'[[sink]]\nname = "hook"\nkind = "webhook"\nurl = "{url}"\nsecret = "env:{HOOK_SECRET}"\n'
        "allow_private = true\nbreak_after = 0\n"  # it refuses each event once: of a backlog that is all that comes
    )


def _disk(settings: Settings, cleaning: ExitStack) -> Disk | None:
    """A small disk for all that the roles write, where it shall be full."""
    if not settings.wants("disk_full"):
        return None
    disk = Disk(settings.directory / DISK)
    cleaning.callback(disk.close)
    (settings.directory / EVENTS).symlink_to(Path(DISK) / EVENTS)
    return disk


def _clocks(settings: Settings, roles: Mapping[str, Kept]) -> dict[str, WallClock]:
    """A wall clock of its own for each role that shall have a wrong one."""
    found: dict[str, WallClock] = {}
    for name, kept in roles.items():
        if name in HOURS_WRONG and settings.wants("clock_skewed"):
            place = settings.directory / f"{name}.clock"
            place.mkdir()
            found[name] = WallClock(place)
            kept.role.environ = {**kept.role.environ, **found[name].environ}
    return found


def _roles(settings: Settings, door: Up, exits: Exits) -> dict[str, Kept]:
    if settings.stack == "embedded":
        return {"up": Kept(door, proof="", exits=exits, sabotage=settings.sabotage)}
    answered = 'callstitch_requests_total{source="huawei",status="200"}'
    roles = {"ingest": Kept(door, proof=answered, exits=exits)}
    for stage in STAGES:
        proof = _handled(stage) if stage != "park" else ""  # nothing ever comes to park when all is well
        sabotage = settings.sabotage if stage == "correlate" else None
        roles[stage] = Kept(_worker(door, stage, stage), proof=proof, exits=exits, sabotage=sabotage)
    for sink in SINKS:
        name = f"fan_out.{sink}"
        worker = _worker(door, name, "fan_out", "--sink", sink)
        roles[name] = Kept(worker, proof=_handled(name), exits=exits)
    feed = f"feed.{NAME}"
    roles[feed] = Kept(_worker(door, feed, "feed", "--queue", NAME), proof=_handled(feed), exits=exits)
    return roles


def _handled(stage: str) -> str:
    return f'callstitch_handled_total{{stage="{stage}"}}'


def _worker(door: Up, name: str, stage: str, *options: str) -> Role:
    admin = f"127.0.0.1:{ports.free_port()}"
    return Role(
        arguments=("work", stage, *options, "--config", "config.toml"),
        directory=door.directory,
        environ={**door.environ, "CALLSTITCH_INGEST_ADMIN": admin},
        name=name,
        admin=admin,
    )


def _another(door: Up, name: str, like: Role) -> Role:
    """One more of the same."""
    stage, *options = like.arguments[1 : like.arguments.index("--config")]
    return _worker(door, name, stage, *options)


def _emulator(settings: Settings, door: Up, calls: int) -> Emulator:
    numbers = {
        "--calls": calls,
        "--seed": settings.seed,
        "--rate": settings.rate,
        "--concurrency": CONCURRENCY,
        "--repush-factor": REPUSH_FACTOR[settings.stack],
        "--linger": -1,  # it serves recordings to the end
    }
    places = {"--to": door.door, "--truth": "sent.jsonl", "--recordings": door.recordings, "--app-key": APP_KEY}
    options = [str(word) for pair in {**places, **numbers}.items() for word in pair]
    return Emulator(
        arguments=["emulate", *options],
        directory=door.directory,
        name="emulate",
        environ={"CALLSTITCH_EMULATOR_SECRET": door.secret},
    )


def _queues() -> list[str]:
    ours = [Subscription(queue=queue) for queue in (*map(sink_queue, SINKS), feed_queue(NAME), NAME)]
    return [queue.name for queue in topology(ours).queues]
