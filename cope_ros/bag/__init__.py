"""Recorded bags in, the same bags with poses out (``cope_bag``); needs no ROS."""
