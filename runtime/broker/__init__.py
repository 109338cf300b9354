"""The one place that speaks to a message broker."""
