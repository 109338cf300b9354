"""The stages of a process, each open only while no operator holds it."""
