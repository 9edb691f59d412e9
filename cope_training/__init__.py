"""Training, evaluation and export for cope_ros; imports ``cope_ros.core``, never ROS."""
