"""The demonstration: a camera publisher, the node and a listener over DDS (``make demo``)."""
