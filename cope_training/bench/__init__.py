"""How fast, how constant and how exact the pipeline is on the device at hand."""
