"""Instances of successive frames to lasting slots: the numbers behind ids, TF frames and markers.

numpy and scipy alone; nothing here imports ROS or torch.
"""

from cope_ros.tracking.frame_clock import FrameTime, Moment
from cope_ros.tracking.settings import TrackSettings
from cope_ros.tracking.tracker import Tracked, Tracker, left_to_right

__all__ = ["FrameTime", "Moment", "TrackSettings", "Tracked", "Tracker", "left_to_right"]
