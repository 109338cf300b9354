"""The fault kit: real processes under load, faults by a seeded schedule, and a checker that counts what is wrong.

`make chaos` runs it; `python -m tests.chaos --help` tells what it can be asked for.
"""
