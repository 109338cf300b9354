"""Several processes of one role under one supervisor."""
