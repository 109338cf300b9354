"""What the processes agree on, as data: no I/O, no clock, nothing of ours imported."""
