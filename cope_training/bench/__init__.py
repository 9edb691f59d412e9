"""How fast, how constant and how exact the pipeline is on the device at hand."""

import os

# Torch's profiler, which counts operations, prints its steps unless this is set before its import.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")
