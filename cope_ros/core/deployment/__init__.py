"""Model file, integrity, preprocessing, execution and packing."""
