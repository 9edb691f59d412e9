"""What the node costs beside its estimator: latency of real messages, stage by stage."""
