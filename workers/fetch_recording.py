"""recordings -> unique: copies announced audio into the object store before the platform deletes it.

Every work order ends as one recording fact, stored or failed; only what no fact can tell goes to the dead letters.
What the other side does wrong is worth another attempt, what our own rules forbid is not.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
import orjson
import structlog
from yarl import URL

from schemas.dialect import items
from schemas.dialect.dialect import AnyDialect, RecordingApi
from schemas.envelope import Envelope, derived_id
from schemas.errors import Malformed, Permanent, Transient, Unavailable
from schemas.fact_json import fact_envelope, identified
from schemas.facts import Recording
from schemas.recording import HttpRequest, RecordingWanted, wanted_from_json
from schemas.settings.source import SignedSource, Source
from schemas.stage import Failed, Handler, Outcome
from workers.outside.download import RECORDING_BYTES, SETTLING_SECONDS, Downloader, follow, parse_address
from workers.outside.errors import our_errors, read_at_most, retry_after
from workers.outside.guard import Allowlist, allowlist, check_scheme, open_session

AT_ONCE: Final = 4
SHARE_OF_A_HOST: Final = 2  # of these
DOWNLOAD_SECONDS: Final = 300
QUESTION_SECONDS: Final = 30

_QUESTION: Final = aiohttp.ClientTimeout(total=QUESTION_SECONDS)
_DETAIL: Final = re.compile(r"[(:,;]")
_WORD: Final = re.compile(r"[a-z]+")
_REASON_LENGTH: Final = 60

log = structlog.get_logger()


class ObjectStore(Protocol):
    """Where audio is kept."""

    async def put(self, place: str, file: Path) -> None:
        """Store the file's bytes under `place`, over whatever is there; durable when it returns.

        Raises:
            Unavailable: the store is away, full, or refuses us.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """What serves the recordings of one source; `base` is scheme and host of `api`, where the config names them."""

    source: Source
    api: RecordingApi[Any] | None
    base: str | None
    downloader: Downloader


@asynccontextmanager
async def open_fetch_recording(
    *,
    sources: Iterable[Source],
    dialects: Mapping[str, AnyDialect],
    objects: ObjectStore,
    last_attempt: int,
    clock: Callable[[], datetime],
    nonce: Callable[[], str],
    most_bytes: int = RECORDING_BYTES,
    scratch: Path | None = None,
    settling_seconds: float = SETTLING_SECONDS,
) -> AsyncIterator[Handler]:
    """The handler, with its HTTP sessions open until the context ends.

    `last_attempt` is the attempt (from 1) after which the stage's policy plans no other; `nonce` draws 1 to 128
    alphanumerics; `scratch` is a directory for downloads under way (None: the system's own). After `settling_seconds`
    a download has to have the least speed.
    """
    async with AsyncExitStack() as stack:
        sessions = {
            private: await stack.enter_async_context(
                open_session(allow_private=private, total_seconds=DOWNLOAD_SECONDS, per_host=AT_ONCE)
            )
            for private in (False, True)
        }
        desks = {
            source.name: _desk(
                source,
                dialects[source.platform],
                Downloader(
                    session=sessions[source.allow_private],
                    allowlist=Allowlist(hosts=()),
                    clock=clock,
                    most_bytes=most_bytes,
                    settling_seconds=settling_seconds,
                ),
            )
            for source in sources
        }
        yield FetchRecording(
            desks=desks,
            objects=objects,
            last_attempt=last_attempt,
            clock=clock,
            nonce=nonce,
            scratch=scratch,
            slots=Slots(),
        )


def _desk(source: Source, dialect: AnyDialect, downloader: Downloader) -> _Desk:
    base = source.recording_api if isinstance(source, SignedSource) else None
    admitted = allowlist(source, api=base, audio_hosts=dialect.audio_hosts)
    return _Desk(source=source, api=dialect.recordings, base=base, downloader=replace(downloader, allowlist=admitted))


class Slots:
    """Downloads at once, in all and from one host: one that is slow leaves room for the others.

    A waiting download holds no slot; hosts are those of allowlists, so there are few.
    """

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(AT_ONCE)
        self._hosts: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def of(self, host: str) -> AsyncIterator[None]:
        """A slot for a download from that host."""
        share = self._hosts.setdefault(host, asyncio.Semaphore(SHARE_OF_A_HOST))
        async with share, self._all:
            yield


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRecording:
    """A `schemas.stage.Handler`; `open_fetch_recording` builds it."""

    desks: Mapping[str, _Desk]
    objects: ObjectStore
    last_attempt: int
    clock: Callable[[], datetime]
    nonce: Callable[[], str]
    scratch: Path | None
    slots: Slots

    async def __call__(self, batch: Sequence[Envelope]) -> Outcome:
        """One fact or one Failed for each envelope, in order.

        Raises:
            Unavailable: the object store or our disk is away; doing it all again overwrites the same objects.
        """
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(envelope)) for envelope in batch]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        return [task.result() for task in tasks]

    async def _one(self, envelope: Envelope) -> Envelope | Failed:
        desk = self.desks.get(envelope.source)
        if desk is None:  # an operator can bring the source back and replay, so no verdict on the recording
            return Failed(envelope, Permanent("source_not_configured"))
        try:
            wanted = _wanted(envelope)
        except Malformed as error:
            return Failed(envelope, error)
        ended = await self._ended(desk, wanted, envelope)
        _report(envelope, wanted, ended)
        if isinstance(ended, Transient):
            return Failed(envelope, ended)
        return recording_fact(envelope, wanted, ended, platform=desk.source.platform)

    async def _ended(self, desk: _Desk, wanted: RecordingWanted, envelope: Envelope) -> Recording | Transient:
        try:
            return await self._stored(desk, wanted, envelope)
        except Transient as error:
            if envelope.attempt < self.last_attempt:
                return error
            return Recording(key=wanted.key, state="failed", reason=_reason(error))
        except Permanent as error:
            return Recording(key=wanted.key, state="failed", reason=_reason(error))

    async def _stored(self, desk: _Desk, wanted: RecordingWanted, envelope: Envelope) -> Recording:
        url = await self._address(desk, wanted)
        with _scratch_file(self.scratch) as file:
            async with self.slots.of(url.raw_host or ""):
                audio = await desk.downloader.download(url, file)
                place = place_of(envelope, wanted, audio.format)
                await self.objects.put(place, file)
        return Recording(
            key=wanted.key,
            state="stored",
            place=place,
            bytes=audio.bytes,
            sha256=audio.sha256,
            seconds=audio.seconds,
            format=audio.format,
        )

    async def _address(self, desk: _Desk, wanted: RecordingWanted) -> URL:
        """Ask the platform by name; the announced link serves where the platform cannot be asked."""
        if not wanted.name and not wanted.url:
            raise Permanent("no_file_named")
        if wanted.url and not (desk.api and wanted.name and wanted.domain):
            return parse_address(wanted.url)
        if desk.api is None:
            raise Permanent("no recording api")
        try:
            request = desk.api.request(wanted, desk.source, nonce=self.nonce(), created=self.clock())
        except (Permanent, Transient):
            if wanted.url:
                return parse_address(wanted.url)
            raise
        return await self._asked(desk, desk.api, request)

    async def _asked(self, desk: _Desk, api: RecordingApi[Any], request: HttpRequest) -> URL:
        """The address out of the platform's answer. Only this request carries credentials, and only to its API."""
        url = parse_address(request.url)
        check_scheme(url, allow_private=desk.source.allow_private)
        if desk.base and url.origin() != parse_address(desk.base).origin():
            raise Permanent("host_not_allowed")
        with our_errors():
            async with desk.downloader.session.get(
                url, headers=request.headers, allow_redirects=False, timeout=_QUESTION
            ) as response:
                return follow(url, await self._location(api, response))

    async def _location(self, api: RecordingApi[Any], response: aiohttp.ClientResponse) -> str:
        headers = {name.lower(): value for name, value in response.headers.items()}
        try:
            return api.location(response.status, headers, await read_at_most(response.content))
        except Transient as error:
            if error.retry_after is not None:
                raise
            raise Transient(str(error), retry_after=retry_after(response.headers, self.clock())) from None


@contextmanager
def _scratch_file(parent: Path | None) -> Iterator[Path]:
    """A file to be, in a directory only we can read; both are gone when the context ends, which takes no descriptor."""
    try:
        directory = Path(tempfile.mkdtemp(prefix="callstitch-", dir=parent))
    except OSError as error:
        raise Unavailable(f"scratch disk: {error.strerror or type(error).__name__}") from None
    file = directory / "audio"
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)
        directory.rmdir()


def _wanted(envelope: Envelope) -> RecordingWanted:
    body = envelope.body
    try:
        return wanted_from_json(orjson.loads(body) if isinstance(body, bytes) else body)
    except (TypeError, ValueError):
        raise Malformed("not_a_work_order") from None


def place_of(envelope: Envelope, wanted: RecordingWanted, audio_format: str) -> str:
    """Our own name, the same on every attempt; the remote name never becomes a path."""
    return f"{envelope.source}/{envelope.at.astimezone(UTC):%Y/%m/%d}/{wanted.key}.{audio_format}"


def _reason(error: Exception) -> str:
    """The beginning of an error's text as one short word, without figures: `no file named (...)` is no_file_named."""
    words = _WORD.findall(_DETAIL.split(str(error), maxsplit=1)[0].lower())
    return "_".join(words)[:_REASON_LENGTH] or "platform_refused"


def recording_fact(envelope: Envelope, wanted: RecordingWanted, recording: Recording, *, platform: str) -> Envelope:
    """The fact that goes to correlate: without a clock reading, so a redelivery makes the same one."""
    item = items.recording(recording, session_id=wanted.session_id, key=wanted.key)
    fact_id = derived_id(envelope.id, "recording", item.fingerprint)
    return fact_envelope(identified(item, envelope, fact_id=fact_id, platform=platform), trace=envelope.trace)


def _report(envelope: Envelope, wanted: RecordingWanted, ended: Recording | Transient) -> None:
    line = log.bind(source=envelope.source, key=wanted.key, attempt=envelope.attempt, trace=envelope.trace)
    if isinstance(ended, Transient):
        line.info("recording.retried", reason=_reason(ended), retry_after=ended.retry_after)
    elif ended.state == "stored":
        line.info("recording.stored", bytes=ended.bytes, seconds=ended.seconds, format=ended.format)
    else:
        line.warning("recording.failed", reason=ended.reason)
