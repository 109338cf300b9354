"""A customer's webhook endpoint in a thread, for programs that run outside the test's own loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


@dataclass(frozen=True, kw_only=True)
class Post:
    """One that came: what it was answered, and when it came."""

    id: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    status: int
    at: float

    def is_signed_with(self, secret: str) -> bool:
        """As the customer's library sees it."""
        try:
            Webhook(secret).verify(self.body, self.headers)
        except WebhookVerificationError:
            return False
        return True


@dataclass
class Endpoint:
    """Answers every post with `status`."""

    url: str = ""
    status: int = 204
    posts: list[Post] = field(default_factory=list)

    @property
    def taken(self) -> list[Post]:
        """Those answered 2xx."""
        return [post for post in self.posts if post.status < 300]


@contextmanager
def an_endpoint() -> Iterator[Endpoint]:
    """One that listens until the context ends."""
    endpoint = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = endpoint.status
            post = Post(id=headers["webhook-id"], headers=headers, body=body, status=status, at=time.monotonic())
            endpoint.posts.append(post)
            with suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing: whoever wants to know looks at `posts`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    endpoint.url = f"http://127.0.0.1:{server.server_port}/calls"
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
