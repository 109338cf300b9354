"""X mode's questions on the wire: how they are written and signed, and what an answer must be.

Source: docs/protocols/aliyun-pnp.md sections 2 and 3.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from console.emulator.act import Heard, Request
from console.emulator.aliyun.signing import control_signature
from console.emulator.push import Content, Form, object_of
from console.emulator.settings import EmulatorSettings

OPERATIONS: Final = frozenset({"CONTINUE", "REJECT", "IVR"})
# Neither method nor place of the parameters was found: a form that is posted [inferred].
CONTROL: Final = Form(
    path="/control",
    content_type="application/x-www-form-urlencoded",
    write=lambda contents, _: urlencode(contents[0]).encode(),
)


def signed(request: Request, settings: EmulatorSettings, *, nonce: str, created: datetime) -> Request:
    """With the common parameters of section 2 and the signature of variant A."""
    params = dict(parse_qsl(request.body.decode(), keep_blank_values=True)) | {
        "signatureMethod": "HMAC-SHA1",
        "signatureNonce": nonce[:32],
        "signatureVersion": "1.0",
        "timestamp": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        "format": "JSON",
    }
    params["signature"] = control_signature(params, secret=settings.app_secret)
    return replace(request, body=urlencode(params).encode())


def answer_faults(heard: Heard) -> list[str]:
    """What is wrong with the answer to a query, by the visible part of section 3's tables."""
    body, model = object_of(heard.body), model_of(heard)
    found = [] if body.get("code") == "OK" else ["code is not OK"]
    if not model:
        return [*found, "no model"]
    if model.get("controlOperate") not in OPERATIONS:
        found.append("controlOperate is none of CONTINUE, REJECT, IVR")
    subs_id = model.get("subsId")
    if not (isinstance(subs_id, str) and subs_id.isdigit()):
        found.append("subsId is not made of figures")
    if model.get("controlOperate") == "REJECT" and model.get("controlMsg") != "NO_SUBS_EXIST":
        found.append("REJECT without NO_SUBS_EXIST")
    return found


def model_of(heard: Heard) -> Content:
    """An object, or an object in a string: the page leaves it open."""
    model: Any = object_of(heard.body).get("model")
    if isinstance(model, str):
        model = object_of(model.encode())
    return model if isinstance(model, dict) else {}
