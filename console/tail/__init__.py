"""`callstitch tail`: one line for each event as it leaves, for whoever looks on."""
