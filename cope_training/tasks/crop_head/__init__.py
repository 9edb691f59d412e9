"""Training of the crop head, see ``cope_ros.core.refinement.crop_head``."""
