"""The ledger: what was answered against what became of it."""
