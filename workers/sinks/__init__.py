"""Downstream systems: one module a sink, with its settings and what writes, and one line here.

The settings of a sink are an Outlet with a `kind` of their own, which names it in the config; `one_process`, for a
sink that two processes cannot share; `taken`, how it answers what it took; and `open(clock)`, the sink
(`workers.fan_out.Sink`) for as long as its context.
`check()` sees whether it could be opened, for `callstitch check`; by default it could.
"""

from __future__ import annotations

from workers.sinks.jsonl import Jsonl
from workers.sinks.webhook import Webhook

AnySink = Webhook | Jsonl
