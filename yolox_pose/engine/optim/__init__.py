"""Optimizers and parameter groups; importing this package registers them."""

from yolox_pose.engine.optim.constructor import YOLOXPoseOptimConstructor
from yolox_pose.engine.optim.muon import MuonAdamW

__all__ = ["MuonAdamW", "YOLOXPoseOptimConstructor"]
