"""`callstitch health`: the probe that every container runs every few seconds."""
