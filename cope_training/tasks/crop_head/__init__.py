"""Training of the close-up, see ``cope_ros.core.refinement.crop_head``."""
