"""The machine under ingest and workers: broker, consume loop, settling, lifecycle, telemetry, logs."""
