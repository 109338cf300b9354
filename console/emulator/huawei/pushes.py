"""What the pushes of Huawei's two voice platforms have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

CONTENT_TYPE: Final = "application/json;charset=UTF-8"
HOSTS: Final = ("callenabler246.huaweicaas.com", "callenabler245qh2.huaweicaas.com")
RECORD_DOMAIN: Final = "ostor.huaweicaas.example"
RECORDED_FROM_SECONDS: Final = 3  # shorter calls have no file, docs/protocols/huawei-privatenumber.md section 6
MERGED_AT_MOST: Final = 50  # records a POST, docs/protocols/huawei-privatenumber.md section 0
TIE_BREAK: Final = timedelta(milliseconds=10)  # keeps events of one second in their order


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a call ends, how far it comes, and the codes of docs/protocols/huawei-reason-codes.md that say so."""

    outcome: str
    weight: int
    last_step: str
    state_code: int
    state_desc: str
    fail_reason: int = 0
    q850: int = 0
    sip: int = 0


def encode(content: Mapping[str, Any]) -> bytes:
    """The bytes of a push, without spaces as the samples of receivers show."""
    return json.dumps(content, separators=(",", ":")).encode()
