"""The ways in which a call can end, as a table of codes that mean it.

Codes and names are from docs/protocols/huawei-reason-codes.md tables A (stateCode), B (ulFailReason) and E (Q.850).
"""

from __future__ import annotations

from dataclasses import replace

from console.emulator.huawei.pushes import Ending

STEPS = ("callin", "callout", "alerting", "answer")


def reaches(ending: Ending, step: str) -> bool:
    """Whether the call came as far as this step."""
    return STEPS.index(step) <= STEPS.index(ending.last_step)


ENDINGS = (
    Ending(
        outcome="answered",
        weight=67,
        last_step="answer",
        state_code=0,
        state_desc="The user releases the call.",
    ),
    Ending(
        outcome="busy",
        weight=7,
        last_step="callout",
        state_code=8102,
        state_desc="The called user is busy.",
        fail_reason=8102,  # table B is cut off before it; same meaning as in A [inferred]
        q850=17,
        sip=486,
    ),
    Ending(
        outcome="no_answer",
        weight=8,
        last_step="alerting",
        state_code=8101,
        state_desc="The called user does not answer.",
        fail_reason=8101,
        q850=19,
        sip=480,
    ),
    Ending(
        outcome="rejected",
        weight=5,
        last_step="alerting",
        state_code=7503,
        state_desc="The called user rejects the call.",
        fail_reason=7504,  # 7503 reads "callee hung up" in table B
        q850=21,
        sip=603,
    ),
    Ending(
        outcome="cancelled",
        weight=5,
        last_step="callout",
        state_code=7501,
        state_desc="The caller hangs up before the called user's phone rings.",
        fail_reason=7501,
        q850=16,
        sip=487,
    ),
    Ending(
        outcome="cancelled",
        weight=2,
        last_step="alerting",
        state_code=7502,
        state_desc="The caller hangs up while the called user's phone rings.",
        fail_reason=7502,
        q850=16,
        sip=487,
    ),
    Ending(
        outcome="unreachable",
        weight=2,
        last_step="callout",
        state_code=8104,
        state_desc="The called user's phone is powered off.",
        fail_reason=8104,
        q850=20,
        sip=480,
    ),
    Ending(
        outcome="blocked",
        weight=4,
        last_step="callin",
        state_code=8014,
        state_desc="No binding exists.",
        fail_reason=8014,
    ),
)

# (stateCode, ulFailReason) of a missing binding, where a mode has its own; 8030 is not in table B [inferred: 8014].
UNBOUND_CODES = {"AX": (8018, 8018), "AXE": (8022, 8022), "AXYB": (8030, 8014)}


def in_mode(ending: Ending, mode: str) -> Ending:
    """Give a missing binding the codes of its mode; every other ending reads the same in all modes."""
    if ending.outcome != "blocked" or mode not in UNBOUND_CODES:
        return ending
    state_code, fail_reason = UNBOUND_CODES[mode]
    return replace(ending, state_code=state_code, fail_reason=fail_reason)
