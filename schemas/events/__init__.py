"""Events as others know them: their types, fields and versions; workers/calls/events.py makes them."""
