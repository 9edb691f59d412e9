"""The demo's objects and its camera sequence, made by code."""
