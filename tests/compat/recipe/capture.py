"""Stands before a real door and writes down each push and the answer to it, as they pass."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from tests.compat.recorded import Push

# What the door keeps of a request's headers.
KEPT: Final = frozenset({"authorization", "x-aksk", "x-wsse", "content-encoding", "date"})
_DOOR_SECONDS: Final = 10.0


@contextmanager
def capturing(listen: str, door: str) -> Iterator[list[Push]]:
    """A server at `listen` that hands every POST to `door`; the list grows with each that was answered."""
    pushes: list[Push] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Forward, write down, answer."""
            at = datetime.now(UTC)
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer_type, answer = _forwarded(door, self.path, body, headers)
            with lock:
                pushes.append(
                    _push(self.path, headers, body, at, status=status, answer_type=answer_type, answer=answer)
                )
            self.send_response(status)
            self.send_header("Content-Type", answer_type)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Nobody reads it."""

    host, _, port = listen.partition(":")
    server = ThreadingHTTPServer((host, int(port)), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield pushes
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _forwarded(door: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection(door, timeout=_DOOR_SECONDS)
    try:
        passed = {name: value for name, value in headers.items() if name in KEPT or name == "content-type"}
        connection.request("POST", path, body=body, headers=passed)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type", ""), answer.read()
    finally:
        connection.close()


def _push(
    path: str, headers: dict[str, str], body: bytes, at: datetime, *, status: int, answer_type: str, answer: bytes
) -> Push:
    _, _, source, rest = path.split("/", 3)
    token = rest.replace("?", "/").split("/", 1)[0]
    return Push(
        source=source,
        path=rest[len(token) :],
        content_type=headers.get("content-type", ""),
        headers={name: value for name, value in headers.items() if name in KEPT},
        body=body,
        at=at,
        status=status,
        answer=answer.decode(),
        answer_type=answer_type,
    )
