"""What stands between us and an address that somebody else chose (docs/notes/security.md sections 1.1 to 1.6).

Two walls. An allowlist judges the URL before each request, redirects included. A socket factory judges the final
address of each connection attempt, so DNS names, IP literals, rebinding and happy eyeballs all pass it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

import aiohttp
from yarl import URL

from schemas.errors import Permanent
from schemas.settings.source import Source

USUAL_PORTS: Final = frozenset({80, 443})
CONNECTIONS: Final = 16
CONNECT_SECONDS: Final = 10
SOCKET_CONNECT_SECONDS: Final = 5
SOCKET_READ_SECONDS: Final = 30

_NAT64: Final = IPv6Network("64:ff9b::/96")
_V4_COMPATIBLE: Final = IPv6Network("::/96")
_DOCUMENTATION: Final = IPv6Network("3fff::/20")  # RFC 9637, younger than Python's tables
# Of clouds, where an instance asks for its own credentials and settings; the others are link-local.
_METADATA: Final = frozenset(
    map(ip_address, ("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"))
)
_RELAY_ANYCAST: Final = IPv4Address("192.88.99.0")

# The five fields of getaddrinfo.
AddrInfo = tuple[Any, Any, int, str, tuple[Any, ...]]


class AddressRefused(OSError):
    """A connection to an address that is not for us; the text is constant, so no address reaches a log."""

    def __init__(self) -> None:
        super().__init__("address refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowlist:
    """The hosts one source may be fetched from.

    An entry is `host`, `.suffix` or `*.suffix` (subdomains only), each with an optional `:port`; without one the
    ports 80 and 443 are meant. `allow_private` is for tests and on-premise systems: it admits http and, for the
    hosts of the list, any port.
    """

    hosts: tuple[str, ...]
    allow_private: bool = False

    def check(self, url: URL) -> None:
        """Let the URL pass, or raise.

        Raises:
            Permanent: its text is one of scheme_not_allowed, userinfo_not_allowed, host_not_allowed.
        """
        check_scheme(url, allow_private=self.allow_private)
        host = (url.raw_host or "").lower().rstrip(".")
        if not any(self._admits(entry.lower(), host, url.port) for entry in self.hosts):
            raise Permanent("host_not_allowed")

    def _admits(self, entry: str, host: str, port: int | None) -> bool:
        pattern, wanted = _split_port(entry)
        pattern = pattern.removeprefix("*")
        same = host.endswith(pattern) and host != pattern if pattern.startswith(".") else host == pattern
        if not same or not host:
            return False
        if self.allow_private:
            return True
        return port == wanted if wanted is not None else port in USUAL_PORTS


def allowlist(source: Source, *, api: str | None, audio_hosts: tuple[str, ...]) -> Allowlist:
    """What the source's config admits: the host and port of its `api` always, then `recording_hosts`.

    No `recording_hosts` means the platform's own `audio_hosts` (its dialect names them), never any host.
    """
    base = URL(api or "")
    own = (f"[{base.raw_host}]" if ":" in (base.raw_host or "") else base.raw_host or "",) if base.raw_host else ()
    ported = tuple(f"{host}:{base.port}" for host in own)
    hosts = source.recording_hosts or audio_hosts
    return Allowlist(hosts=(*own, *ported, *hosts), allow_private=source.allow_private)


def check_scheme(url: URL, *, allow_private: bool) -> None:
    """Only https, or http where `allow_private` says so, and no user name or password in the URL.

    Raises:
        Permanent: scheme_not_allowed or userinfo_not_allowed.
    """
    if url.scheme != "https" and not (url.scheme == "http" and allow_private):
        raise Permanent("scheme_not_allowed")
    if url.raw_user is not None or url.raw_password is not None:
        raise Permanent("userinfo_not_allowed")


def is_public(address: str) -> bool:
    """Whether it is a global unicast address, after unwrapping IPv4 inside IPv6.

    Python's `is_global` alone says True for NAT64, 6to4, `::127.0.0.1`, 192.88.99.0/24 and multicast (tried on 3.11).
    """
    return all(_is_global_unicast(inner) for inner in _unwrapped(ip_address(address)))


def is_reachable(address: str) -> bool:
    """What `allow_private` admits: private and loopback too, but never cloud metadata, link-local or multicast."""
    return all(
        inner.is_loopback
        or (
            not (inner.is_link_local or inner.is_multicast or inner.is_unspecified or inner.is_reserved)
            and inner not in _METADATA
        )
        for inner in _unwrapped(ip_address(address))
    )


def socket_factory(*, allow_private: bool) -> Callable[[AddrInfo], socket.socket]:
    """A socket factory for aiohttp's TCPConnector that raises AddressRefused for an address that is not for us."""
    admits = is_reachable if allow_private else is_public

    def make(info: AddrInfo) -> socket.socket:
        family, kind, proto, _, address = info
        if not admits(address[0]):
            raise AddressRefused
        return socket.socket(family=family, type=kind, proto=proto)

    return make


async def look_up(url: URL, *, allow_private: bool) -> Sequence[str]:
    """The addresses of the URL's host that may be called.

    Raises:
        AddressRefused: none of its addresses may be.
        OSError: nobody knows it, or not within some seconds.
    """
    admits = is_reachable if allow_private else is_public
    async with asyncio.timeout(CONNECT_SECONDS):  # its TimeoutError is an OSError
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    admitted = [address for info in found if admits(address := str(info[4][0]))]
    if not admitted:
        raise AddressRefused
    return admitted


async def reach(url: URL, addresses: Sequence[str]) -> None:
    """See that one of these takes a connection for that URL, with TLS where it is https; nothing is sent.

    Raises:
        OSError: of the last that does not; ssl.SSLError is one.
    """
    secure = ssl.create_default_context() if url.scheme == "https" else None
    name = url.host if secure else None
    error: OSError = TimeoutError()
    for address in addresses:
        try:
            async with asyncio.timeout(SOCKET_CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(address, url.port, ssl=secure, server_hostname=name)
        except OSError as refused:
            error = refused
        else:
            writer.transport.abort()
            return
    raise error


def open_session(*, allow_private: bool, total_seconds: float, per_host: int) -> aiohttp.ClientSession:
    """A session behind the second wall; closed by the caller. It keeps no cookies, reads no proxy variables."""
    connector = aiohttp.TCPConnector(
        socket_factory=socket_factory(allow_private=allow_private), limit=CONNECTIONS, limit_per_host=per_host
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": "callstitch"},
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(
            total=total_seconds,
            connect=CONNECT_SECONDS,
            sock_connect=SOCKET_CONNECT_SECONDS,
            sock_read=SOCKET_READ_SECONDS,
        ),
    )


def _split_port(entry: str) -> tuple[str, int | None]:
    """`host:port`, `[v6]:port` or either without a port; a bare v6 address has more than one colon."""
    host, colon, port = entry.rpartition(":")
    if colon and port.isdecimal() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port)
    return entry.strip("[]"), None


def _unwrapped(address: IPv4Address | IPv6Address) -> tuple[IPv4Address | IPv6Address, ...]:
    if isinstance(address, IPv4Address):
        return (address,)
    if address.teredo:
        return address.teredo
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    return (address.ipv4_mapped or address.sixtofour or address,)


def _is_global_unicast(address: IPv4Address | IPv6Address) -> bool:
    if address.is_multicast or address.is_reserved or not address.is_global or address in _METADATA:
        return False
    if isinstance(address, IPv4Address):
        return int(address) >> 8 != int(_RELAY_ANYCAST) >> 8
    return address not in _V4_COMPATIBLE and address not in _DOCUMENTATION and not address.is_site_local
