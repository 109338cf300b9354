"""HTTP to hosts that we do not trust."""
