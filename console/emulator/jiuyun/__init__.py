"""Jiuyun's AXB and its siblings, played."""
