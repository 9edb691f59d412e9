"""Targets and losses of the dense outputs (paper, section 3.2)."""
