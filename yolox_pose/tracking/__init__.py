"""Stable ids and steadier keypoints from frame to frame, in numpy alone.

Letters: n detections of a frame, T tracks, K keypoints. Boxes are xyxy pixels, times are seconds.
"""

from yolox_pose.tracking.assignment import best_pairs
from yolox_pose.tracking.smoothing import KeypointSmoother, SmootherSettings
from yolox_pose.tracking.tracker import Forecast, Tracker, TrackerSettings

__all__ = ["Forecast", "KeypointSmoother", "SmootherSettings", "Tracker", "TrackerSettings", "best_pairs"]
