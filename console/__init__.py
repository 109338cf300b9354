"""The operator's hands: the callstitch command."""
