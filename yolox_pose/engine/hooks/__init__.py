"""Training hooks; importing this package registers them."""

from yolox_pose.engine.hooks.checkpoint import AtomicCheckpointHook
from yolox_pose.engine.hooks.checks import TrainingChecksHook
from yolox_pose.engine.hooks.curves import CurvesHook
from yolox_pose.engine.hooks.distillation import DistillationHook
from yolox_pose.engine.hooks.guard import NonFiniteLossGuard
from yolox_pose.engine.hooks.phase import TrainingPhaseHook
from yolox_pose.engine.hooks.progress import ProgressBarHook
from yolox_pose.engine.hooks.resume import ResumeHook
from yolox_pose.engine.hooks.runtime_info import BufferedRuntimeInfoHook
from yolox_pose.engine.hooks.start import StartWeightsHook
from yolox_pose.engine.hooks.threads import ThreadsHook
from yolox_pose.engine.hooks.val_pictures import ValPicturesHook

__all__ = [
    "AtomicCheckpointHook",
    "BufferedRuntimeInfoHook",
    "CurvesHook",
    "DistillationHook",
    "NonFiniteLossGuard",
    "ProgressBarHook",
    "ResumeHook",
    "StartWeightsHook",
    "ThreadsHook",
    "TrainingChecksHook",
    "TrainingPhaseHook",
    "ValPicturesHook",
]
