"""The consume loop of a stage: how it subscribes, batches, ticks and answers. Its end is in `runtime.settle`."""
