"""Another team's consumer of a narrow `[[queue]]`: slow, so that the queue is full, until the platform is through."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from contextlib import closing
from typing import Final

import orjson
import pika
from pika.exceptions import AMQPError

from schemas.settings.addresses import each_host

NAME: Final = "crm"
LIMIT: Final = 50
SLOW_SECONDS: Final = 0.03  # for each event, of which a run makes twice as many
_AGAIN_SECONDS: Final = 0.5  # after its connection broke
QUEUE: Final = f'[[queue]]\nname = "{NAME}"\nmax_length = {LIMIT}\nproducts = ["privatenumber"]\n'


class Consumer:
    """Takes event after event from when it is started until it is closed, whatever becomes of its broker."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()  # by event id
        self.bodies: dict[str, bytes] = {}  # digest of the body by event id
        self.two_bodies: set[str] = set()
        self._in_a_hurry = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, url: str) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, args=(url,), name="consumer")
        self._thread.start()

    def hurry(self) -> None:
        """Go on as fast as it can."""
        self._in_a_hurry.set()

    def close(self) -> None:
        """End; what is in hand goes back."""
        self._closing.set()
        self._in_a_hurry.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, url: str) -> None:
        while not self._closing.is_set():
            try:
                self._consume(url)
            except (AMQPError, OSError):
                self._closing.wait(_AGAIN_SECONDS)

    def _consume(self, url: str) -> None:
        nodes = [pika.URLParameters(node) for node in each_host(url)]
        with closing(pika.BlockingConnection(nodes)) as connection:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=10)
            for method, _, body in channel.consume(NAME, inactivity_timeout=_AGAIN_SECONDS):
                if self._closing.is_set():
                    return
                if method is None or method.delivery_tag is None or body is None:
                    continue
                self._in_a_hurry.wait(SLOW_SECONDS)
                self._take(body)
                channel.basic_ack(method.delivery_tag)

    def _take(self, body: bytes) -> None:
        event_id = orjson.loads(body)["id"]
        digest = hashlib.sha256(body).digest()
        if self.bodies.setdefault(event_id, digest) != digest:
            self.two_bodies.add(event_id)
        self.taken[event_id] += 1
