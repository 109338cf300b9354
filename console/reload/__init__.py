"""To take up a config that changed, while the process runs."""
