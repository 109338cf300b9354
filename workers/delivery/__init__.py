"""What `fan_out` knows of its sinks beside the config: what an operator said, and what became of each event."""
