"""Golden calls without a pipeline: the events that our own code makes of made-up pushes, the same for the same seed."""
