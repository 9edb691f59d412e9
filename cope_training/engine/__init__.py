"""Trainer, optimiser, checkpoints, configuration, reporting."""
