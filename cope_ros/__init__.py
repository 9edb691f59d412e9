"""Real-time 6D object pose estimation for ROS 2 (COPE, WACV 2023)."""

__version__ = "0.1.0"
