"""Whatever a state's config names outside: Huawei's recording API, its audio, and somebody's webhook."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

AUDIO: Final = b"RIFF\x2c\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data\x08\x00\x00\x00" + b"\x80" * 8  # fmt: skip  # noqa: E501 - eight samples


@dataclass(kw_only=True)
class Outside:
    """A server at `address`; while not `open` it refuses all. `hooked` holds the bodies that the webhook took."""

    address: str
    open: bool
    hooked: list[bytes] = field(default_factory=list)


@contextmanager
def outside(*, is_open: bool) -> Iterator[Outside]:
    """The server, until the context ends."""
    here = Outside(address="", open=is_open)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """The API leads to the audio."""
            if not here.open:
                self._answer(503)
            elif self.path.startswith("/audio"):
                self._answer(200, AUDIO, {"Content-Type": "audio/wav"})
            else:
                self._answer(301, b"", {"Location": f"http://{here.address}/audio.wav"})

        def do_POST(self) -> None:
            """The webhook."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if here.open:
                here.hooked.append(body)
            self._answer(204 if here.open else 500)

        def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
