"""Raw bytes on a real socket: requests bent and broken, and what a server owes whoever sends them."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from typing import Final

SILENCE_SECONDS: Final = 0.5
ANSWER_SECONDS: Final = 20.0  # the door cuts what trickles after fifteen
AT_ONCE: Final = 16
_WELL_FORMED: Final = 0.4  # so many bends are one header more, which no parser refuses for its shape
_NAMES: Final = (
    b"Authorization",
    b"X-AKSK",
    b"X-WSSE",
    b"Content-Type",
    b"Content-Encoding",
    b"Date",
    b"Host",
    b"X-Any",
)
MOST_BENDS: Final = 4
_MOST_READ: Final = 65_536
_PIECES: Final = (
    b"\0", b"\xff\xfe", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b"%00", b"%", b"../", b"//", b"?",
    b"#",
    b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET ", b"POST ", b"TRACE ",
    b"CONNECT ",
    b"Host: a\r\n", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Connection: upgrade\r\n",
    b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n", b"Expect: 100-continue\r\n", b"Content-Encoding: gzip\r\n",
    b"Content-Encoding: \xff\r\n", b"Content-Type: \xe9\r\n", b"Authorization: \xff\r\n",
    b"X-AKSK: UsernameToken a=\r\n",
    b"0\r\n\r\n", b"5\r\nhello\r\n", b"-1\r\n", b"FFFFFFFFFFFFFFFFF\r\n", b" folded\r\n", b"a" * 9_000,
    b"X: y\r\n" * 200,
    "\ud800".encode(errors="surrogatepass"), "电话".encode(), b"\x16\x03\x01\x02\x00\x01\x00",
)  # fmt: skip


def a_request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """One that is right."""
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def bent(rng: Random, requests: Sequence[bytes]) -> bytes:
    """One of these, or two in one breath, with pieces of it gone, repeated, or something else."""
    sent = b"".join(rng.choices(requests, k=rng.choice([1, 1, 1, 2])))
    for _ in range(rng.choice([1, 1, 1, 2, MOST_BENDS])):
        start = rng.choice(_places(rng, sent))
        end = min(len(sent), start + rng.choice([0, 0, 1, 5, 40]))
        piece = rng.choice([rng.choice(_PIECES), rng.randbytes(rng.randint(0, 8)), sent[start:end] * 2])
        if rng.random() < _WELL_FORMED and b"\r\n" in sent:
            start = end = sent.index(b"\r\n") + 2
            piece = rng.choice(_NAMES) + b": " + piece.translate(None, b"\r\n\0") + b"\r\n"
        sent = sent[:start] + piece + sent[end:]
    return sent


def _places(rng: Random, sent: bytes) -> list[int]:
    """The beginning of a line, somewhere, and somewhere in what comes after the head."""
    lines = [match.end() for match in re.finditer(rb"\r\n", sent)]
    body = sent.find(b"\r\n\r\n") + 4
    return [rng.choice([0, *lines]), rng.randint(0, len(sent)), rng.randint(min(body, len(sent)), len(sent))]


def answers_to(sent: Sequence[bytes], address: str) -> list[bytes]:
    """What comes back for each; many at a time, since most of what is broken is waited for."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda one: answer_to(one, address), sent))


def answer_to(sent: bytes, address: str) -> bytes:
    """All that comes back until the server closes the connection; when it is silent we say that no more comes.

    Raises:
        TimeoutError: it neither answers nor closes.
    """
    host, _, port = address.rpartition(":")
    read = b""
    with socket.create_connection((host, int(port)), timeout=SILENCE_SECONDS) as end, suppress(ConnectionError):
        end.sendall(sent)
        with suppress(TimeoutError):
            while piece := end.recv(_MOST_READ):
                read += piece
        end.settimeout(ANSWER_SECONDS)
        end.shutdown(socket.SHUT_WR)
        while piece := end.recv(_MOST_READ):
            read += piece
    return read
