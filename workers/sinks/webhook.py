"""POSTs each event to a customer's endpoint, signed after Standard Webhooks (standardwebhooks.com, v1 signatures)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final, Literal, Self

import aiohttp
from pydantic import Field, SecretStr, model_validator
from yarl import URL

from schemas.envelope import EVENT_CONTENT_TYPE, Envelope
from schemas.errors import Away, Misconfigured, Paused, Permanent, Transient, Unavailable
from schemas.settings import Duration, Outlet, Secret, Url
from workers.outside.errors import our_errors, read_at_most, retry_after
from workers.outside.guard import AddressRefused, check_scheme, look_up, open_session, reach
from workers.sinks.breaker import Breaker

AT_ONCE: Final = 16

_GONE: Final = 410
_OF_THE_ENDPOINT: Final = frozenset({401, 403, 404, 405, 407, 408, 421, 425, 429})  # who asks, and when; not what
_ASKED_MOST_SECONDS: Final = 900.0
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the public prefix of a Standard Webhooks secret, not one


class Webhook(Outlet):
    """POSTs each event, signed after Standard Webhooks; `secret` is its `whsec_...` or base64 key.

    `secrets` in its place are several of them, while one is rotated: a post has a signature by each. After
    `break_after` failures of the endpoint in a row (0: never) the events wait, and one at a time is tried,
    `probe_after` later, then after twice as long each time, up to `probe_longest`.
    """

    one_process: ClassVar[bool] = False
    taken: ClassVar[str] = "http_2xx"

    kind: Literal["webhook"]
    url: Url
    secret: Secret | None = None
    secrets: tuple[Secret, ...] = ()
    allow_private: bool = False
    timeout: Duration = timedelta(seconds=15)
    break_after: Annotated[int, Field(ge=0)] = 5
    probe_after: Duration = timedelta(seconds=1)
    probe_longest: Duration = timedelta(seconds=30)

    @model_validator(mode="after")
    def _is_signed(self) -> Self:
        if (self.secret is None) == (not self.secrets):
            raise ValueError("a webhook needs either secret or secrets")
        return self

    @property
    def keys(self) -> Sequence[bytes]:
        """What its posts are signed with.

        Raises:
            Misconfigured: one is not base64.
        """
        if self.secret is not None:
            return [_key(self.secret, name=self.name, key="secret")]
        return [_key(one, name=self.name, key=f"secrets.{n}") for n, one in enumerate(self.secrets)]

    @property
    def manner(self) -> str:
        """Whether by TLS, and by how many secrets it signs."""
        secure = "over TLS, its certificate verified" if self.url.startswith("https:") else "over plain HTTP"
        return f"a POST {secure}, signed by {len(self.secrets) or 1} secret(s)"

    async def check(self) -> None:
        """See that the URL may be called and its host takes a connection; nothing is sent.

        Raises:
            Misconfigured: the URL may not be called, or the secret is not base64.
            Unavailable: nobody knows the host, it takes no connection, or its certificate is not one to trust.
        """
        url = _target(self)
        _ = self.keys
        try:
            addresses = await look_up(url, allow_private=self.allow_private)
        except AddressRefused:
            raise Misconfigured(f"sink {self.name}: url: {url.host} is at an address that may not be called") from None
        except OSError as error:
            raise Unavailable(f"sink {self.name}: url: nobody knows {url.host}: {error.strerror}") from None
        try:
            await reach(url, addresses)
        except ssl.SSLCertVerificationError as error:
            raise Unavailable(f"sink {self.name}: url: the certificate of {url.host}: {error.verify_message}") from None
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise Unavailable(f"sink {self.name}: url: {url.host}:{url.port} takes no connection: {why}") from None

    @asynccontextmanager
    async def open(self, clock: Callable[[], datetime], /) -> AsyncIterator[OpenWebhook]:
        """The sink, its connections open until the context ends; `clock` gives the webhook-timestamp, aware.

        Raises:
            Misconfigured: the URL may not be called, or the secret is not base64.
        """
        url, keys = _target(self), self.keys
        session = open_session(
            allow_private=self.allow_private, total_seconds=self.timeout.total_seconds(), per_host=AT_ONCE
        )
        async with session:
            yield OpenWebhook(session=session, url=url, keys=keys, clock=clock, breaker=self._breaker())

    def _breaker(self) -> Breaker:
        first, longest = self.probe_after.total_seconds(), self.probe_longest.total_seconds()
        return Breaker(in_a_row=self.break_after, first=first, longest=max(first, longest))


class OpenWebhook:
    """A sink (`workers.fan_out.Sink`); at most AT_ONCE requests are under way."""

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        url: URL,
        keys: Sequence[bytes],
        clock: Callable[[], datetime],
        breaker: Breaker,
    ) -> None:
        self._session = session
        self._url = url
        self._keys = keys
        self._clock = clock
        self._breaker = breaker
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def write(self, batch: Sequence[Envelope]) -> Sequence[Exception | None]:
        """POST all events; 2xx is done, everything else is Transient: customers mend their endpoints.

        Once the endpoint has failed too often in a row, what has failed and what was not tried is Away.

        Raises:
            Paused: the endpoint answered 410; it wants nothing more.
        """
        probes = 1 if self._breaker.open else 0
        self._breaker.begin()
        results = [await self._deliver(envelope) for envelope in batch[:probes]]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._deliver(envelope)) for envelope in batch[probes:]]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        results += [task.result() for task in tasks]
        if not self._breaker.open:
            return results
        failed = [one for one in results if one is not None and not one.alone]
        asked = [min(one.retry_after or 0.0, _ASKED_MOST_SECONDS) for one in failed]
        reasons = ", ".join(sorted({str(one) for one in failed if one is not _NOT_TRIED}))
        away = Away(f"the endpoint is away: {reasons}", seconds=max(self._breaker.pause(), *asked))
        return [away if one is not None and not one.alone else one for one in results]

    async def _deliver(self, envelope: Envelope) -> Transient | None:
        async with self._slots:
            if self._breaker.open:
                return _NOT_TRIED
            error = await self._tried(envelope)
        if error is None or error.alone:
            self._breaker.worked()
        else:
            self._breaker.failed()
        return error

    async def _tried(self, envelope: Envelope) -> Transient | None:
        try:
            await self._post(envelope)
        except Transient as error:
            return error
        except Permanent as error:  # an address that we may not call: the operator mends that, as customers theirs
            return Transient(str(error))
        return None

    async def _post(self, envelope: Envelope) -> None:
        body = envelope.body
        assert isinstance(body, bytes)
        headers = _signed(envelope.id, body, keys=self._keys, now=self._clock())
        if envelope.trace:
            headers["traceparent"] = envelope.trace
        with our_errors():
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                self._judge(response)
                await read_at_most(response.content)  # so that the connection can be used again

    def _judge(self, response: aiohttp.ClientResponse) -> None:
        if response.status == _GONE:
            raise Paused("the endpoint answered 410")
        if response.status // 100 != 2:  # noqa: PLR2004 - the class of all success answers
            wait = retry_after(response.headers, self._clock())
            alone = response.status // 100 == 4 and response.status not in _OF_THE_ENDPOINT  # noqa: PLR2004 - 4xx
            raise Transient(f"http_{response.status}", retry_after=wait, alone=alone)


_NOT_TRIED: Final = Transient("not_tried")


def _signed(event_id: str, body: bytes, *, keys: Sequence[bytes], now: datetime) -> dict[str, str]:
    stamp = str(int(now.timestamp()))
    content = f"{event_id}.{stamp}.".encode() + body
    digests = [hmac.digest(key, content, hashlib.sha256) for key in keys]
    return {
        "Content-Type": EVENT_CONTENT_TYPE,
        "webhook-id": event_id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
    }


_REFUSED: Final = {
    "scheme_not_allowed": "only https, or http where allow_private = true",
    "userinfo_not_allowed": "a user name or password has no place in it",
}


def _target(sink: Webhook) -> URL:
    try:
        url = URL(sink.url)
        check_scheme(url, allow_private=sink.allow_private)
    except (ValueError, Permanent) as error:
        reason = _REFUSED.get(str(error), "not a URL")
        raise Misconfigured(f"sink {sink.name}: url: {reason}") from None
    return url


def _key(secret: SecretStr, *, name: str, key: str) -> bytes:
    """`whsec_` and base64, or base64 alone, padded or not."""
    text = secret.get_secret_value().removeprefix(_SECRET_PREFIX).rstrip("=")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not raw:
        raise Misconfigured(f"sink {name}: {key}: must be whsec_... or base64")
    return raw
