"""The soak: the node for many minutes at camera rate while malformed messages rain on it."""
