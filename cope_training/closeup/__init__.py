"""Training of the close-up, see ``cope_ros.core.closeup``."""
