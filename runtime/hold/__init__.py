"""An operator's hold on a stage, or on the doors: kept by the broker, heard by every process."""
