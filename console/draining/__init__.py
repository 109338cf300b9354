"""The whole pipeline emptied, and held so: `callstitch drain`."""
