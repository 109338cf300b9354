"""What the published pushes of each mode must come to: every value written by hand, never printed by our parser.

A comment names the section and row of the protocol page that a value rests on; outcomes, modes and wholeness are those
of docs/contract.md section 1 and docs/design.md section 5. Durations are seconds, times UTC.
"""

from __future__ import annotations

from typing import Any, Final

Expected = dict[str, Any]

PN_SESSION: Final = "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"
AXE_SESSION: Final = "1202_1051_4294967295_20190124070250@callenabler246.huaweicaas.com"
CALLBACK_SESSION: Final = "1201_612_4294967295_20190124030424@callenabler245.huaweicaas.com"
NOTIFY_SESSION: Final = "1201_12897_4294967295_20180522064331@callenabler245.huaweicaas.com"
JIUYUN_SESSION: Final = "420d9ec4557f4eeabfb0000000000001"

WHOLE: Final[Expected] = {"complete": True, "missing": []}
TALKED: Final[Expected] = {"answered": True, "outcome": "answered"}

# docs/protocols/huawei-privatenumber.md section 3: callerNum real caller, fwdDstNum real callee, bindNum X,
# fwdDisplayNum shown; section 0, row time zone: all times are UTC. Ring = fwdAnswerTime - fwdAlertingTime = :06 - :04;
# talk = callEndTime - fwdAnswerTime = :22 - :06 (section 3, Duration).
PRIVATE_NUMBER: Final[Expected] = {
    "platform": "huawei_privatenumber", "product": "privatenumber",
    "direction": "a_to_b",  # row direction: 1 = A->others, A->B
    "caller": "+8613800000021", "callee": "+8613866887021",
    "private_number": "+8613800000022", "display_number": "+8613800000022", "extension": None,
    "called_in_at": "2019-01-24T02:30:03Z", "started_at": "2019-01-24T02:30:03Z",
    "ringing_at": "2019-01-24T02:30:04Z", "answered_at": "2019-01-24T02:30:06Z",
    "ended_at": "2019-01-24T02:30:22Z", "ring_seconds": 2, "talk_seconds": 16, **TALKED, **WHOLE,
    "recordings": ["wanted"],  # rows recordFlag to recordDomain
    "decision": None,
}  # fmt: skip

# docs/protocols/huawei-voicecall.md section 2, column notify/verify: calleeNum called user, callerNum display number,
# callOut* times; docs/contract.md section 1: caller null. Ring :50 - :40, talk 44:10 - 43:50 (section 2, Talk time).
ONE_LEG: Final[Expected] = {
    "platform": "huawei_voicecall", "mode": None, "direction": None, "caller": None, "callee": "+8613800000021",
    "private_number": None, "display_number": "+8675528000001", "user_data": "customerId123",
    "called_in_at": None, "started_at": "2018-05-22T06:43:31Z", "ringing_at": "2018-05-22T06:43:40Z",
    "answered_at": "2018-05-22T06:43:50Z", "ended_at": "2018-05-22T06:44:10Z", "ring_seconds": 10,
    "talk_seconds": 20, **TALKED, **WHOLE, "recordings": [],
}  # fmt: skip

# docs/protocols/aliyun-pnp.md section 4.1: phone_no A, secret_no X, peer_no B; section 4: times are Beijing's, 8 hours
# ahead.
ALIYUN: Final[Expected] = {
    "platform": "aliyun_pnp", "product": "pnp", "private_number": "+8617000000002", **WHOLE,
}  # fmt: skip
ALIYUN_TALKED: Final[Expected] = {
    **ALIYUN, "direction": "a_to_b",  # call_type 0: A calls
    "caller": "+8613800000001", "callee": "+8613900000003", "display_number": "+8617000000002",
    "called_in_at": "2024-03-05T06:07:08Z", "started_at": "2024-03-05T06:07:09Z",  # call_time, call_out_time
    "ringing_at": "2024-03-05T06:07:13Z",  # free_ring_time > call_out_time: it truly rang
    "answered_at": "2024-03-05T06:07:20Z", "ended_at": "2024-03-05T06:08:25Z",  # start_time, release_time
    "ring_seconds": 7, "talk_seconds": 65, **TALKED,
}  # fmt: skip
ALIYUN_UNANSWERED: Final[Expected] = {
    **ALIYUN, "direction": "b_to_a",  # call_type 1: A is called
    "caller": "+8613900000003", "callee": "+8613800000001",
    "called_in_at": "2024-03-05T07:00:00Z", "started_at": "2024-03-05T07:00:01Z",
    "ringing_at": "2024-03-05T07:00:05Z",
    "answered_at": None,  # start_time = release_time: not connected
    "ended_at": "2024-03-05T07:00:35Z", "ring_seconds": 30, "talk_seconds": 0,
    "answered": False, "outcome": "no_answer",  # release_cause 19
    "recordings": [],
}  # fmt: skip
ALIYUN_BLOCKED: Final[Expected] = {
    **ALIYUN, "direction": "abnormal",  # call_type 4: call blocked
    "caller": "+8613700000009", "callee": None, "binding_id": None,  # docs/protocols/aliyun-pnp.md section 7 trap 7
    "called_in_at": "2024-03-05T07:10:00Z", "started_at": None,  # call_out_time = call_time: never
    "ringing_at": None, "answered_at": None, "ended_at": "2024-03-05T07:10:02Z",
    "ring_seconds": None, "talk_seconds": 0,
    "answered": False, "outcome": "blocked",  # unconnected_cause 2: no binding
    "recordings": [],
}  # fmt: skip
ALIYUN_CALLS: Final[dict[str, Expected]] = {
    # record_url is sent; no host of ours is allowed, so it fails
    "4361aa01bb02cc03": {
        **ALIYUN_TALKED, "binding_id": "1000043068030001", "user_data": "order-88001", "recordings": ["failed"],
    },
    "4361aa01bb02cc04": ALIYUN_UNANSWERED,
    "4361aa01bb02cc05": ALIYUN_BLOCKED,
}  # fmt: skip

# docs/protocols/jiuyun-axb.md section 3: caller, called, telX, duration in seconds; section 5: Beijing time [inferred];
# no ringing is ever told (section 4), so ring_seconds cannot be known.
JIUYUN: Final[Expected] = {
    "platform": "jiuyun_axb", "product": "axb", "direction": None, "called_in_at": None, "ringing_at": None,
    "ring_seconds": None, "recordings": [], **WHOLE,
}  # fmt: skip
JIUYUN_TALKED: Final[Expected] = {
    **JIUYUN, "mode": "AXB", "caller": "+8613800000001", "callee": "+8613900000003",
    "private_number": "+8617000000002", "started_at": None, "answered_at": "2024-03-05T06:07:20Z",
    "ended_at": "2024-03-05T06:08:25Z", "talk_seconds": 65, **TALKED,
}  # fmt: skip
# docs/protocols/jiuyun-axb.md section 4: types 1 and 2 are dial-back, without telX; startTimeB = answer of B.
JIUYUN_OLDER: Final[Expected] = {**JIUYUN_TALKED, "mode": None}
# docs/protocols/jiuyun-axb.md section 4, VoiceNotify and VoiceCodeNotify: to, displayNum, callTime; no duration, so
# nobody can say who listened.
JIUYUN_VOICE: Final[Expected] = {
    **JIUYUN, "mode": None, "caller": None, "callee": "+8613900000003", "private_number": None,
    "display_number": "+8675500000004", "started_at": "2024-03-05T06:07:08Z", "answered_at": None, "ended_at": None,
    "talk_seconds": None, "answered": False, "outcome": "unknown",
}  # fmt: skip

RECORDS: Final[dict[str, Expected]] = {
    f"huawei-ax:{PN_SESSION}": {**PRIVATE_NUMBER, "mode": "AX"},
    f"huawei-axb:{PN_SESSION}": {**PRIVATE_NUMBER, "mode": "AXB"},
    # axe-fee.json: B calls X and keys 0012; direction 0 others->A
    f"huawei-axe:{AXE_SESSION}": {
        **PRIVATE_NUMBER, "mode": "AXE", "direction": "b_to_a", "caller": "+8613866887021",
        "callee": "+8613800000021", "extension": "0012", "called_in_at": "2019-01-24T07:02:50Z",
        "started_at": "2019-01-24T07:02:59Z", "ringing_at": "2019-01-24T07:03:01Z",
        "answered_at": "2019-01-24T07:03:05Z", "ended_at": "2019-01-24T07:03:28Z",
        "ring_seconds": 4, "talk_seconds": 23,
    },
    f"huawei-axyb:{PN_SESSION}": {
        **PRIVATE_NUMBER, "mode": "AXYB", "private_number": "+8617010000002", "display_number": "+8617010000002",
    },
    f"huawei-axyb-003:{PN_SESSION}": {**PRIVATE_NUMBER, "mode": "AXYB"},
    # docs/protocols/huawei-privatenumber.md section 3, row notifyMode: the mark of X mode; section 2, row userData:
    # echo of the reply
    f"huawei-x:{PN_SESSION}": {
        **PRIVATE_NUMBER, "mode": "X", "user_data": "userflag001",
        "decision": {"action": "connect", "callee": "+8613866887021", "by": "rule"},
    },
    # docs/protocols/huawei-voicecall.md section 2, column callback: calleeNum real A, fwdDstNum real B, callerNum and
    # fwdDisplayNum are shown; A's times callOut*, B's fwd*. Talk 05:45 - 04:45 (section 2, Talk time). B's only
    # published event is its callout, so two are missing.
    f"voice-callback:{CALLBACK_SESSION}": {
        "platform": "huawei_voicecall", "product": "callback", "mode": None, "direction": None,
        "caller": "+8613800000021", "callee": "+8613800000022", "private_number": None,
        "display_number": "+8675528000001", "user_data": "customerId123", "called_in_at": None,
        "started_at": "2019-01-24T03:04:24Z", "ringing_at": "2019-01-24T03:04:41Z",
        "answered_at": "2019-01-24T03:04:45Z", "ended_at": "2019-01-24T03:05:45Z",
        "ring_seconds": 4, "talk_seconds": 60, **TALKED, "complete": False, "missing": ["ringing", "answered"],
        "recordings": ["wanted"],
    },
    f"voice-notify:{NOTIFY_SESSION}": {**ONE_LEG, "product": "notify"},
    f"voice-verify:{NOTIFY_SESSION}": {**ONE_LEG, "product": "verify"},
    **{f"aliyun-axb:{call_id}": {**call, "mode": "AXB"} for call_id, call in ALIYUN_CALLS.items()},
    **{f"aliyun-axn:{call_id}": {**call, "mode": None} for call_id, call in ALIYUN_CALLS.items()},
    # docs/protocols/aliyun-pnp.md section 3: subsId comes back as sub_id [inferred]
    "aliyun-x:8f3c2b1a9d7e4c60": {
        **ALIYUN_TALKED, "mode": "X", "binding_id": "20240305001", "recordings": [],
        "decision": {"action": "connect", "callee": "+8613900000003", "by": "rule"},
    },
    # docs/protocols/jiuyun-axb.md section 6.7: recordUrl is http here, which is not admitted by default
    "jiuyun-22:a1b2c3d4e5f60718293a4b5c6d7e8f90": {**JIUYUN_TALKED, "recordings": ["failed"]},
    "jiuyun-22:a1b2c3d4e5f60718293a4b5c6d7e8f93": JIUYUN_TALKED,
    "jiuyun-22:a1b2c3d4e5f60718293a4b5c6d7e8f91": {
        **JIUYUN, "mode": "AXB", "caller": None, "callee": None, "private_number": "+8617000000002",
        "started_at": None, "answered_at": None, "ended_at": "2024-03-05T07:00:35Z", "talk_seconds": 0,
        "answered": False, "outcome": "unreachable",  # byeType 2: B unreachable
    },
    f"jiuyun-1:{JIUYUN_SESSION}": {**JIUYUN_OLDER, "private_number": None},
    # docs/protocols/jiuyun-axb.md section 4, row CallInvite: dateCreated is when A was called; maskNumber is X
    f"jiuyun-2:{JIUYUN_SESSION}": {
        **JIUYUN_OLDER, "private_number": "+8675500000004", "started_at": "2024-03-05T06:07:08Z",
    },
    # docs/protocols/jiuyun-axb.md section 4: 7 as 1; 8 and 9 with one startTime; 10 with telX; virtual number + DTMF
    # without type
    **{f"jiuyun-older:{kind}": {**JIUYUN_OLDER, "private_number": None} for kind in ("7", "8", "9", "dtmf")},
    "jiuyun-older:10": JIUYUN_TALKED,
    f"jiuyun-voice:{JIUYUN_SESSION}": JIUYUN_VOICE,
    f"jiuyun-code:{JIUYUN_SESSION}": JIUYUN_VOICE,
}  # fmt: skip

_PN_EVENTS: Final[list[tuple[str, str | None]]] = [
    (name, None) for name in ("incoming", "outgoing", "ringing", "answered", "ended")
]
TIMELINES: Final[dict[str, list[tuple[str, str | None]]]] = {
    **{f"huawei-{mode}:{PN_SESSION}": _PN_EVENTS for mode in ("ax", "axb", "axyb")},
    f"huawei-axe:{AXE_SESSION}": _PN_EVENTS,
    # the decision bears the door's own clock, which is later than 2019
    f"huawei-x:{PN_SESSION}": [*_PN_EVENTS, ("decided", None)],
    # docs/protocols/huawei-voicecall.md section 1: both legs have one session id, told apart by called; disconnect is
    # of the call
    f"voice-callback:{CALLBACK_SESSION}": [
        ("outgoing", "a"), ("ringing", "a"), ("answered", "a"), ("outgoing", "b"), ("ended", None),
    ],
    **{f"voice-{product}:{NOTIFY_SESSION}": _PN_EVENTS[1:] for product in ("notify", "verify")},
    "aliyun-axb:4361aa01bb02cc03": [("incoming", None), ("ringing", None)],
    "aliyun-axn:4361aa01bb02cc03": [("incoming", None), ("ringing", None)],
    "aliyun-x:8f3c2b1a9d7e4c60": [("incoming", None), ("decided", None)],
    f"jiuyun-2:{JIUYUN_SESSION}": [("outgoing", "a"), ("answered", "b")],
}  # fmt: skip

# docs/protocols/huawei-privatenumber.md section 4: calling real sender, virtualNumber X, timeStamp UTC, splitNum the
# number sent, direction 2 abnormal; docs/protocols/huawei-reason-codes.md table F: sendResult 2 = no binding.
_SMS: Final[Expected] = {
    "sender": "+8613800000021", "receiver": None, "private_number": "+8613800000022", "direction": "abnormal",
    "parts": 0, "sent_at": "2020-12-23T09:06:16.450000Z", "status": "failed", "revision": 1,
}  # fmt: skip
SMS: Final[dict[str, Expected]] = {
    # docs/protocols/huawei-privatenumber.md section 4, Modes: after a Block a Notify for the same SMS follows, two
    # pushes per SMS
    "huawei-ax:ASN:16:example0000000001": {
        **_SMS, "raw": ["block", "notify"],
        "decision": {"action": "route", "callee": "+8613866887021", "by": "rule"},
    },
    "huawei-axb:ASN:16:example0000000001": {**_SMS, "raw": ["notify"], "decision": None},
    "huawei-x:ASN:16:example0000000001": {**_SMS, "raw": ["notify"], "decision": None},
}  # fmt: skip
