"""The demo: the whole pipeline, realistic traffic, and a ledger that must balance."""
