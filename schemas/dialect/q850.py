"""Q.850 causes and SIP statuses: their English texts, and the outcomes of docs/contract.md section 1.

Q.850 numbers are those of docs/protocols/huawei-reason-codes.md table E, the names are the ITU's; SIP texts are the
reason phrases of RFC 3261.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from schemas.dialect.codes import code, is_code, read_once
from schemas.dialect.fields import as_integer
from schemas.facts import Code
from schemas.vocabulary import Outcome

_SIP_SERVER_FAILURES: Final = range(500, 600)

Q850_TEXTS: Final[Mapping[int, str]] = {
    0: "not applicable",
    1: "unallocated number",
    2: "no route to network",
    3: "no route to destination",
    4: "special information tone",
    5: "misdialled trunk prefix",
    6: "channel unacceptable",
    7: "call awarded in an established channel",
    8: "pre-emption",
    9: "pre-emption, circuit reserved",
    16: "normal clearing",
    17: "user busy",
    18: "no user responding",
    19: "no answer from user",
    20: "subscriber absent",
    21: "call rejected",
    22: "number changed",
    23: "redirection to new destination",
    25: "exchange routing error",
    26: "non-selected user clearing",
    27: "destination out of order",
    28: "invalid number format",
    29: "facility rejected",
    30: "response to status enquiry",
    31: "normal, unspecified",
    34: "no circuit available",
    38: "network out of order",
    39: "permanent frame connection out of service",
    40: "permanent frame connection operational",
    41: "temporary failure",
    42: "switching equipment congestion",
    43: "access information discarded",
    44: "requested channel not available",
    46: "precedence call blocked",
    47: "resource unavailable",
    49: "quality of service not available",
    50: "requested facility not subscribed",
    53: "outgoing calls barred within closed user group",
    55: "incoming calls barred within closed user group",
    57: "bearer capability not authorised",
    58: "bearer capability not available",
    62: "inconsistency in access information",
    63: "service or option not available",
    65: "bearer capability not implemented",
    66: "channel type not implemented",
    69: "requested facility not implemented",
    70: "only restricted digital bearer available",
    79: "service or option not implemented",
    81: "invalid call reference",
    82: "identified channel does not exist",
    83: "suspended call exists, but not this identity",
    84: "call identity in use",
    85: "no call suspended",
    86: "call with this identity has been cleared",
    87: "user not member of closed user group",
    88: "incompatible destination",
    90: "non-existent closed user group",
    91: "invalid transit network",
    95: "invalid message",
    96: "mandatory information element missing",
    97: "message type non-existent or not implemented",
    98: "message not compatible with call state, or its type non-existent",
    99: "information element non-existent or not implemented",
    100: "invalid information element contents",
    101: "message not compatible with call state",
    102: "recovery on timer expiry",
    103: "parameter not recognised, passed on",
    110: "message with unrecognised parameter discarded",
    111: "protocol error",
    127: "interworking",
}

SIP_TEXTS: Final[Mapping[int, str]] = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    415: "Unsupported Media Type",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    485: "Ambiguous",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
}

_Q850_OUTCOMES: Final[Mapping[int, Outcome]] = {
    1: "unreachable",
    16: "cancelled",
    17: "busy",
    18: "no_answer",
    19: "no_answer",
    20: "unreachable",
    21: "rejected",
    22: "unreachable",
    27: "unreachable",
}

_SIP_OUTCOMES: Final[Mapping[int, Outcome]] = {
    403: "blocked",
    404: "unreachable",
    408: "no_answer",
    410: "unreachable",
    480: "no_answer",
    486: "busy",
    487: "cancelled",
    600: "busy",
    603: "rejected",
}


def q850_outcome(cause: int) -> Outcome | None:
    """What a Q.850 cause says of a call; None where it decides nothing."""
    return _Q850_OUTCOMES.get(cause)


def sip_outcome(status: int) -> Outcome | None:
    """What a final SIP status says of a call; None where it decides nothing."""
    return "failed" if status in _SIP_SERVER_FAILURES else _SIP_OUTCOMES.get(status)


def q850_code(*causes: Any) -> Code | None:
    """The first cause that applies: 0 says that it does not, and stands only where no other was sent."""
    silent = None
    for cause in causes:
        if is_code(cause) and as_integer(cause) != 0:
            return _q850_code(cause)
        if silent is None:
            silent = _q850_code(cause)
    return silent


@read_once
def _q850_code(cause: Any) -> Code | None:
    return code("q850", cause, texts=Q850_TEXTS, outcome=q850_outcome)


@read_once
def sip_code(status: Any) -> Code | None:
    """The final SIP status of a leg."""
    return code("sip", status, texts=SIP_TEXTS, outcome=sip_outcome)
