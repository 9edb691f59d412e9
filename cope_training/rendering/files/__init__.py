"""Mesh files as people have them: one reader for all formats, see ``reader.read_mesh``."""
