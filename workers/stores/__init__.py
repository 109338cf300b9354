"""Where claims and sessions live."""
