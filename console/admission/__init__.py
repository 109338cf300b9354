"""Before a role starts: what an operator declares, and whether it can start at all."""
