"""Whom a process hands events to, sinks and fed queues; what an operator said of a sink; what became of each event."""
