"""Counters, measurements and their judgement, published on /diagnostics."""
