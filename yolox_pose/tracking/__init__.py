"""Track ids that last from frame to frame, smoothed keypoints, and tracking metrics.

Shape letters: n detections of a frame, T tracks, K keypoints. Boxes are xyxy in pixels, times are in seconds. Everything
but the linear assignment, which is scipy's, needs numpy alone.
"""

from yolox_pose.tracking.assignment import linear_assignment
from yolox_pose.tracking.smoothing import KeypointSmoother, SmootherSettings
from yolox_pose.tracking.tracker import Forecast, Tracker, TrackerSettings

__all__ = ["Forecast", "KeypointSmoother", "SmootherSettings", "Tracker", "TrackerSettings", "linear_assignment"]
