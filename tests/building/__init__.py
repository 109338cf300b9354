"""Builders of facts and envelopes for tests: `a_cdr(...)`, `an_event(...)`, `a_notification(...)`."""
