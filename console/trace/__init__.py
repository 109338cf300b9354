"""`callstitch trace`: which call is meant, what is known of it, and what became of its events at each outlet."""
