"""Training of the instance head, see ``cope_ros.core.refinement.instance_head``."""
