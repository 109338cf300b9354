"""Fuzzing in the house: what nobody would send, and the whole contract asserted over it.

`make fuzz` runs it for an hour; some thirty seconds of it, always the same, are part of `make test`.
"""
