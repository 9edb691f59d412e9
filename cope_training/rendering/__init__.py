"""Training images from meshes: loading, drawing, scenes, backgrounds."""
