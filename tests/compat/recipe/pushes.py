"""Records `pushes.ndjson.xz`: the emulator's traffic, every published sample, and pushes that nobody should send.

    python -m tests.compat.recipe.pushes DIRECTORY

runs this tree's own `callstitch up` and `callstitch emulate` in DIRECTORY.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.compat.recipe.capture import capturing
from tests.compat.recorded import CONFIG, PUSHES, write_rows
from tests.e2e.platforms import Body, content_of
from tests.e2e.platforms_plays import ACCOUNTS

DOOR: Final = "127.0.0.1:18080"
ADMIN: Final = "127.0.0.1:18081"
CAPTURE: Final = "127.0.0.1:18082"  # the config's push_url names it
RECORDINGS: Final = "127.0.0.1:18083"
EMULATED: Final = {
    "huawei": "huawei_privatenumber",
    "voicecall": "huawei_voicecall",
    "aliyun": "aliyun_pnp",
    "jiuyun": "jiuyun_axb",
}
JSON: Final = "application/json;charset=UTF-8"
XML: Final = "application/xml;charset=utf-8"
FORM: Final = "application/x-www-form-urlencoded"


def main() -> None:
    directory = Path(sys.argv[1])
    environ = {**os.environ, "CALLSTITCH_INGEST_LISTEN": DOOR, "CALLSTITCH_INGEST_ADMIN": ADMIN}
    environ |= {"CALLSTITCH_BROKER": "embedded:broker.db", "CALLSTITCH_STORE": "sqlite:state"}
    environ |= {"PYTHONPATH": str(Path.cwd())}
    with _running(directory, environ), capturing(CAPTURE, DOOR) as pushes:
        _emulate(directory, environ)
        for source, path, content_type, body, headers in _samples_and_oddities():
            _post(f"/v1/{source}/{_token(source)}{path}", body, {"Content-Type": content_type, **headers})
    write_rows(PUSHES, [push.row() for push in pushes])
    sys.stdout.write(f"{len(pushes)} pushes, {PUSHES.stat().st_size} bytes\n")


@contextmanager
def _running(directory: Path, environ: Mapping[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "console", "up", "--config", str(CONFIG.resolve())]
    with subprocess.Popen(command, cwd=directory, env=environ) as up:
        try:
            while not _is_ready():
                assert up.poll() is None, "up ended"
                time.sleep(0.2)
            yield
        finally:
            up.terminate()


def _is_ready() -> bool:
    connection = http.client.HTTPConnection(ADMIN, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _emulate(directory: Path, environ: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "console", "emulate", "--calls", "60", "--seed", "11", "--ask", "--messages", "6"]
    command += ["--recordings", RECORDINGS, "--app-secret", "emulator-secret", "--concurrency", "1"]
    for source, platform in EMULATED.items():
        command += ["--to", f"{platform}=http://{CAPTURE}/v1/{source}/{_token(source)}"]
    subprocess.run(command, cwd=directory, env=environ, check=True)


def _token(source: str) -> str:
    found = re.findall(rf'name = "{source}"\n.*\ntokens = \["([^"]+)"\]', CONFIG.read_text())
    return str(found[0])


def _post(path: str, body: bytes, headers: Mapping[str, str]) -> None:
    connection = http.client.HTTPConnection(CAPTURE, timeout=10)
    connection.request("POST", path, body=body, headers=dict(headers))
    connection.getresponse().read()
    connection.close()


Odd = tuple[str, str, str, bytes, Mapping[str, str]]


def _samples_and_oddities() -> Iterator[Odd]:
    """Source, path, content type, body, headers."""
    for account in ACCOUNTS:
        for push in account.pushes:
            body, content_type = content_of(account.platform, push.body)
            yield account.name, push.path, content_type, body, {}
    yield from _amended()
    yield from _unreadable()
    yield from _compressed()


def _sample(platform: str, name: Body) -> bytes:
    return content_of(platform, name)[0]


def _fee(session: str, **changes: Any) -> bytes:
    """Huawei's CDR of another session, with fields changed or (None) gone."""
    body = json.loads(_sample("huawei_privatenumber", "axyb-fee.json"))
    for row in body["feeLst"]:
        row |= {"sessionId": session, **changes}
        for name in [name for name, value in changes.items() if value is None]:
            del row[name]
    return json.dumps(body).encode()


def _amended() -> Iterator[Odd]:
    """Corrections, second CDRs, codes and fields that nobody has seen, and a batch of which one half is good."""
    to = ("huawei-axyb", "/fee", JSON)
    session = "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"
    yield *to, _fee(session, userData="changed"), {}
    yield *to, _fee(session, userData="changed again"), {}
    yield *to, _fee(session, icid="second-cdr", fwdAnswerTime=None, recordFlag=0), {}
    yield *to, _fee("unseen@example", ulFailReason=9999, serviceType="042", brandNew={"deep": [1, None, "é"]}), {}
    yield *to, _fee("unanswered@example", fwdAnswerTime="", ulFailReason=31, recordFlag=0), {}
    good = json.loads(_fee("half@example"))
    good["feeLst"] += [{"icid": 7}, "no object", {**good["feeLst"][0], "callInTime": "yesterday"}]
    yield *to, json.dumps(good).encode(), {}
    event = json.loads(_sample("huawei_privatenumber", "axyb-event-answer.json"))
    event["statusInfo"] |= {"sessionId": "event-only@example", "timestamp": "2019-01-24 02:30:07"}
    yield "huawei-axyb", "/status", JSON, json.dumps(event).encode(), {}
    yield "huawei-axyb", "/status", JSON, json.dumps({**event, "eventType": "juggled"}).encode(), {}
    digits = {**event, "eventType": "collectInfo", "statusInfo": {**event["statusInfo"], "digitInfo": "12#"}}
    yield "huawei-axyb", "/status", JSON, json.dumps(digits).encode(), {}
    report = json.loads(_sample("aliyun_pnp", "secret_report.json"))
    changed = [{**one, "release_cause": 31, "out_id": "changed"} for one in report]
    yield "aliyun-axb", "/SecretReport", JSON, json.dumps(changed).encode(), {}
    hangup = _sample("jiuyun_axb", "axb_hangup.xml")
    yield "jiuyun-22", "", XML, hangup.replace(b"<duration>", b"<duration>1"), {}


def _unreadable() -> Iterator[Odd]:
    """What ends in quarantine, of each platform."""
    kinds = {"huawei-axb": JSON, "voice-callback": JSON, "aliyun-axb": JSON, "jiuyun-22": XML}
    bodies = [b"", b"{", b"[]", b"null", b'{"a": 1}', b"<req/>", b"<a><b></a>", b"\xff\xfe\x00", b"a=1&b=%ff", b'"x"']
    bodies += [
        b"[" * 3000,
        b'{"feeLst": [{}]}',
        b'{"eventType": "answer"}',
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    ]
    for source, content_type in kinds.items():
        for body in bodies:
            yield source, "", content_type, body, {}
    yield "aliyun-x", "", FORM, b"callId=1&secretNo=%zz", {}


def _compressed() -> Iterator[Odd]:
    """Gzip that is right, cut off, none, a bomb; and an encoding that nobody knows."""
    fee = _fee("gzip@example")
    packed = gzip.compress(fee, mtime=0)
    for body in (packed, packed[:-9], fee, gzip.compress(b" " * 9_000_000, mtime=0), packed + b"x"):
        yield "huawei-axyb", "/fee", JSON, body, {"Content-Encoding": "gzip"}
    yield "huawei-axyb", "/fee", JSON, fee, {"Content-Encoding": "br"}
    yield "huawei-axyb", "/fee", JSON, fee, {"Content-Encoding": "identity"}


if __name__ == "__main__":
    main()
