from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from yarl import URL

from schemas.errors import Permanent, Transient, Unavailable
from schemas.platforms import DIALECTS
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from workers.outside.audio import sniff
from workers.outside.download import follow, parse_address
from workers.outside.errors import our_errors, retry_after
from workers.outside.guard import (
    AddressRefused,
    Allowlist,
    allowlist,
    is_public,
    is_reachable,
    open_session,
    socket_factory,
)

NOW = datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)


def a_source(
    *,
    recording_api: str | None = None,
    recording_hosts: tuple[str, ...] = (),
    allow_private: bool = False,
) -> PrivateNumberSource:
    return PrivateNumberSource(
        name="huawei-bj",
        platform="huawei_privatenumber",
        tokens=(SecretStr("t"),),
        recording_api=recording_api,
        recording_hosts=recording_hosts,
        allow_private=allow_private,
    )


def a_guard(source: PrivateNumberSource) -> Allowlist:
    return allowlist(source, api=source.recording_api, audio_hosts=DIALECTS[source.platform].audio_hosts)


def refusal(guard: Allowlist, url: str) -> str | None:
    try:
        guard.check(URL(url))
    except Permanent as error:
        return str(error)
    return None


@pytest.mark.parametrize("address", ["8.8.8.8", "2600::1", "2002:0808:0808::1", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_a_global_unicast_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "198.18.0.1",
        "0.0.0.0",  # noqa: S104 - judged here, not bound
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.88.99.1",
        "::", "::1", "::7f00:1", "::808:808", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::",
        "2002:a9fe:a9fe::", "64:ff9b::7f00:1", "64:ff9b:1::1", "2001:0:7f00:1::", "2001:db8::1", "fe80::1", "fe80::1%1",
        "fc00::1", "fec0::1", "ff0e::1", "100.100.100.200", "fd00:ec2::254", "168.63.129.16", "3fff::1", "3fff:fff::1",
    ],
)  # fmt: skip
def test_no_way_of_writing_an_inner_address_is_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("address", "admitted"),
    [
        ("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", True), ("fd00::1", True),
        ("8.8.8.8", True),
        ("100.100.100.200", False), ("fd00:ec2::254", False), ("::ffff:100.100.100.200", False), ("192.0.0.192", False),
        ("168.63.129.16", False), ("100.100.100.201", True),
        ("169.254.169.254", False), ("::ffff:169.254.169.254", False), ("fe80::1", False),
        ("0.0.0.0", False),  # noqa: S104 - judged here, not bound
        ("224.0.0.1", False), ("240.0.0.1", False),
    ],
)  # fmt: skip
def test_allow_private_still_refuses_cloud_metadata_and_multicast(address: str, *, admitted: bool) -> None:
    assert is_reachable(address) is admitted


def test_the_socket_factory_refuses_before_a_socket_exists() -> None:
    info = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))
    with pytest.raises(AddressRefused) as refused:
        socket_factory(allow_private=False)(info)
    assert "127" not in str(refused.value)
    socket_factory(allow_private=True)(info).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_names_and_literals_of_this_machine_are_refused_at_the_socket(host: str) -> None:
    reached: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_get("/", answer)
    async with (
        TestServer(app) as server,
        open_session(allow_private=False, total_seconds=5, per_host=1) as session,
    ):
        with pytest.raises(Permanent, match="address_not_allowed"), our_errors():
            await session.get(f"http://{host}:{server.port}/")
        assert reached == []
        async with open_session(allow_private=True, total_seconds=5, per_host=1) as let_in:
            assert (await let_in.get(f"http://{host}:{server.port}/")).status == 200


async def test_what_this_machine_lacks_is_not_held_against_the_other_side() -> None:
    async with (
        TestServer(web.Application()) as server,
        open_session(allow_private=True, total_seconds=5, per_host=1) as session,
    ):
        with no_free_descriptor(), pytest.raises(Unavailable, match="no connection can be opened"), our_errors():
            await session.get(f"http://127.0.0.1:{server.port}/")
        assert (await session.get(f"http://127.0.0.1:{server.port}/")).status == 404


@contextmanager
def no_free_descriptor() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0)]
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


@pytest.mark.parametrize(
    ("entry", "url", "reason"),
    [
        ("a.com", "https://a.com/x", None),
        ("a.com", "https://A.COM./x", None),
        ("a.com", "https://b.a.com/x", "host_not_allowed"),
        ("a.com", "https://a.com.evil.org/x", "host_not_allowed"),
        (".a.com", "https://b.a.com/x", None),
        ("*.a.com", "https://c.b.a.com/x", None),
        ("*.a.com", "https://a.com/x", "host_not_allowed"),
        ("*.a.com", "https://evila.com/x", "host_not_allowed"),
        ("a.com", "https://a.com:22/x", "host_not_allowed"),
        ("a.com:8443", "https://a.com:8443/x", None),
        ("a.com:8443", "https://a.com/x", "host_not_allowed"),
        ("[2600::1]:444", "https://[2600::1]:444/x", None),
        ("2600::1", "https://[2600::1]/x", None),
        ("a.com", "http://a.com/x", "scheme_not_allowed"),
        ("a.com", "file:///etc/passwd", "scheme_not_allowed"),
        ("a.com", "https://u:p@a.com/x", "userinfo_not_allowed"),
        ("a.com", "https://a.com@evil.org/x", "userinfo_not_allowed"),
        ("", "https:///x", "host_not_allowed"),
    ],
)
def test_the_allowlist_judges_scheme_user_host_and_port(entry: str, url: str, reason: str | None) -> None:
    assert refusal(Allowlist(hosts=(entry,)), url) == reason


def test_no_recording_hosts_means_the_platform_and_the_api_alone() -> None:
    guard = a_guard(a_source(recording_api="https://api.example.com:12543"))
    assert refusal(guard, "https://api.example.com:12543/x") is None
    assert refusal(guard, "https://api.example.com/x") is None
    assert refusal(guard, "https://bucket.obs.cn-north-1.myhuaweicloud.com/x") is None
    assert refusal(guard, "https://other.example.com/x") == "host_not_allowed"
    assert refusal(a_guard(a_source()), "https://other.example.com/x") == "host_not_allowed"


OSS = "secret-axb-record-files.oss-cn-shanghai.aliyuncs.com"  # the host of the vendor's own example


@pytest.mark.parametrize(
    ("platform", "host", "reason"),
    [
        ("huawei_voicecall", "rtccall.cn-north-1.myhuaweicloud.cn", None),
        ("huawei_voicecall", "rtcapi.cn-north-1.myhuaweicloud.com:12543", None),
        ("huawei_voicecall", "ostor.huawei.com", None),
        ("huawei_privatenumber", "ostor.huawei.com", None),
        ("huawei_privatenumber", "ostorQH.huawei.com", None),
        ("huawei_privatenumber", "ostorQH2.huawei.com", None),
        ("huawei_voicecall", "OSTORQH2.huawei.com", None),
        ("huawei_privatenumber", "evil.huawei.com", "host_not_allowed"),
        ("aliyun_pnp", OSS, None),
        ("aliyun_pnp", f"{OSS}:8443", "host_not_allowed"),
        ("aliyun_pnp", "x.oss-cn-shanghai-internal.aliyuncs.com", "host_not_allowed"),
        ("aliyun_pnp", "bucket.obs.cn-north-1.myhuaweicloud.com", "host_not_allowed"),
        ("jiuyun_axb", "rec.example.com", "host_not_allowed"),
    ],
)
def test_each_platform_has_the_hosts_that_its_pages_name(platform: str, host: str, reason: str | None) -> None:
    guard = allowlist(a_source(), api=None, audio_hosts=DIALECTS[platform].audio_hosts)
    assert refusal(guard, f"https://{host}/x") == reason


def test_configured_recording_hosts_replace_the_platforms_own() -> None:
    guard = a_guard(a_source(recording_hosts=("audio.example.com",)))
    assert refusal(guard, "https://audio.example.com/x") is None
    assert refusal(guard, "https://bucket.obs.cn-north-1.myhuaweicloud.com/x") == "host_not_allowed"


def test_allow_private_admits_http_and_any_port_but_no_other_host() -> None:
    guard = a_guard(a_source(recording_hosts=("audio.local",), allow_private=True))
    assert refusal(guard, "http://audio.local:9000/x") is None
    assert refusal(guard, "http://other.local:9000/x") == "host_not_allowed"


def test_a_redirect_never_leaves_https() -> None:
    start = URL("https://a.com/one/two")
    with pytest.raises(Permanent, match="insecure_redirect"):
        follow(start, "http://a.com/x")
    assert str(follow(start, "/x?sig=a%2Fb+c")) == "https://a.com/x?sig=a%2Fb+c"
    with pytest.raises(Transient, match="no_location"):
        follow(start, "")


BAD_NAMES = [f"https://{name}/r.wav" for name in (f"{'a' * 64}.com", "a..com", ".a.com", "a.com..", f"{'a.' * 127}com")]


@pytest.mark.parametrize(
    "text", [*BAD_NAMES, "https://a.com/\r\nX: y", "https://a b/", "https://a.com:99999/", "https://[::1/"]
)
def test_an_address_that_is_none_is_a_bad_address(text: str) -> None:
    with pytest.raises(Permanent, match="bad_address"):
        parse_address(text)


def test_a_signed_query_is_kept_as_sent() -> None:
    text = "https://a.com/r%2F1.wav?Signature=a%2Bb%3D&Expires=1+2"
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("Sat, 21 Nov 2026 09:01:30 GMT", 90.0),
        ("Sat, 21 Nov 2026 08:00:00 GMT", 0.0),
        ("9" * 400, 86400.0),
        ("-5", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}, NOW) == seconds


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"RIFF\x00\x00\x00\x00WAVE", "wav"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x00\x00\x00", "mp3"),
        (b"\xff\xfb\x90\x00", "mp3"),
        (b"\xff\xf3\x90\x00", "mp3"),
        (b"#!AMR\n", "amr"),
        (b"#!AMR-WB\n", "amr"),
        (b"OggS\x00\x02", "ogg"),
        (b'{"resultcode', None),
        (b"<!DOCTYPE ht", None),
        ('{"a"'.encode("utf-16"), None),
        (b"RIFF\x00\x00\x00\x00AVI ", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_audio_is_known_by_its_first_bytes(head: bytes, found: str | None) -> None:
    assert sniff(head) == found
