"""How long each part of a drain may take, in seconds: 20 in all, from SIGTERM to the end (docs/design.md section 3).

A door that is a role of its own says for `drain_delay` that it leaves, before all this, and that comes on top.

In `up` they follow each other: the door, the answers that go on, the last tally, then the stages; a role has its own
alone. What is not done in time is left unacked and comes again.
"""

from __future__ import annotations

from typing import Final

DOOR: Final = 3.0  # for requests under way; nothing new is taken
AFTER_ANSWERS: Final = 1.0  # for what the door does once a question is answered
TALLY: Final = 2.0  # for the confirm of the last count, as of each
STAGES: Final = 12.0  # for what is buffered; the rest is given back
CONNECTION: Final = 3.0  # for the broker's goodbye
BLOCKED: Final = 0.2  # to say goodbye to a broker in an alarm, which reads nothing until that ends

SPANS: Final = 1.0  # for the last spans to leave, where traces are told; what is left then is lost

PROCESS: Final = 19.0  # for all of these; then the process is cut off
CUT_OFF: Final = 1.0  # for tasks to end that are cancelled
MEMBER: Final = PROCESS + CUT_OFF  # of a group, from its supervisor's SIGTERM to SIGKILL, where no signal came to both
KILLED: Final = 0.5  # for a member to cut itself off at the same deadline as its supervisor
