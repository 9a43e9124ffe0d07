"""Hooks of training; importing this package registers them."""

from yolox_pose.engine.checkpoint_hook import AtomicCheckpointHook
from yolox_pose.engine.checks_hook import TrainingChecksHook
from yolox_pose.engine.curves_hook import CurvesHook
from yolox_pose.engine.guard_hook import NonFiniteLossGuard
from yolox_pose.engine.keep_hook import KeepDetectorHook
from yolox_pose.engine.muon import MuonAdamW
from yolox_pose.engine.optim import YOLOXPoseOptimConstructor
from yolox_pose.engine.phase_hook import TrainingPhaseHook
from yolox_pose.engine.progress_hook import ProgressBarHook
from yolox_pose.engine.runtime_info_hook import BufferedRuntimeInfoHook
from yolox_pose.engine.start_hook import StartWeightsHook
from yolox_pose.engine.val_pictures_hook import ValPicturesHook

__all__ = [
    "AtomicCheckpointHook",
    "BufferedRuntimeInfoHook",
    "CurvesHook",
    "KeepDetectorHook",
    "MuonAdamW",
    "NonFiniteLossGuard",
    "ProgressBarHook",
    "StartWeightsHook",
    "TrainingChecksHook",
    "TrainingPhaseHook",
    "ValPicturesHook",
    "YOLOXPoseOptimConstructor",
]
