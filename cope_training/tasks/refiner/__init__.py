"""Training of the refiner, see ``cope_ros.core.refinement.refiner``."""
