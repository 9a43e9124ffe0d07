"""Hook for fine-tuning without forgetting: the detector that a training starts from becomes its teacher."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from mmengine.config import ConfigDict
from mmengine.hooks import Hook
from mmengine.runner import Runner

from yolox_pose.checkpoints.files import read_checkpoint
from yolox_pose.checkpoints.matching import check_complete, match_weights
from yolox_pose.checkpoints.preprocessing import adopt_normalization, stored_preprocessing
from yolox_pose.engine.run import classes_of, model_of
from yolox_pose.errors import DataError
from yolox_pose.models import YOLOXPoseEstimator
from yolox_pose.ops import DistillationWeights
from yolox_pose.registry import HOOKS, MODELS
from yolox_pose.weights import find_weights

TEACHER = "teacher"
"""Entry of a checkpoint's ``meta``: the weights file of the teacher, for a run that is resumed."""


@HOOKS.register_module()
class DistillationHook(Hook):
    """Keep the detections of a model near those of a teacher while it learns from few images.

    The teacher processes every batch without gradients and without keypoints, which takes a quarter more time.

    Args:
        checkpoint: Weights of the teacher in any known layout, of the size of the model, or ``'bundled'``. None takes the
            weights that the training starts from.
        score: Weight of the score term (:class:`yolox_pose.ops.DistillationWeights`).
        box: Weight of the box term.

    Raises:
        DataError: If there are no such weights, or they do not match the model or its normalization.
    """

    def __init__(
        self,
        checkpoint: str | None = None,
        score: float = DistillationWeights().score,
        box: float = DistillationWeights().box,
    ) -> None:
        self.checkpoint, self.weights = checkpoint, DistillationWeights(score, box)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Read the name of the teacher from the checkpoint of a resumed run."""
        if runner._resume and self.checkpoint is None:
            self.checkpoint = (checkpoint.get("meta") or {}).get(TEACHER)

    def before_train(self, runner: Runner) -> None:
        """Load the teacher and add its losses to the model."""
        if self.checkpoint is None and not runner._resume:
            self.checkpoint = runner._load_from
        if self.checkpoint is None:
            raise DataError("DistillationHook has no teacher: start with --load-from, or set its 'checkpoint'")
        model = model_of(runner)
        model.distill(load_teacher(self.checkpoint, runner.cfg.model, model, classes_of(runner)), self.weights)
        runner.logger.info(f"distillation from {self.checkpoint} ({self.weights})")

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note the teacher."""
        checkpoint.setdefault("meta", {})[TEACHER] = self.checkpoint


def load_teacher(
    path: str, config: ConfigDict, model: YOLOXPoseEstimator, classes: Sequence[str] | None = None
) -> YOLOXPoseEstimator:
    """Build the detector of a model's config, without keypoints, with the weights of a file.

    Args:
        path: Weights in any known layout, or ``'bundled'``.
        config: Config of the model.
        model: Model that learns, for its normalization.
        classes: Names of its classes; None if unknown.

    Raises:
        DataError: If the weights do not match the detector, or expect another normalization.
    """
    # Build the detector
    config = copy.deepcopy(config)
    config.update(compile=False, micro_batch=None, freeze_detector=False)
    config.head.skeleton = None
    config.head.pop("keypoint_classes", None)
    teacher = MODELS.build(config)

    # Match the weights
    checkpoint = read_checkpoint(find_weights(path))
    source_classes, state_dict = checkpoint.dataset_meta.get("classes"), teacher.state_dict()
    match = match_weights(checkpoint.weights, state_dict, source_classes=source_classes, target_classes=classes)
    check_complete(match, state_dict, checkpoint.weights, path)

    # Both networks see the same input
    normalization = dict(model.data_preprocessor.normalization)
    adopt_normalization(normalization, stored_preprocessing(checkpoint.dataset_meta))
    if normalization != model.data_preprocessor.normalization:
        raise DataError(f"{path} expects another normalization of its images than the model that learns from it")
    teacher.load_state_dict(match.weights, strict=False)
    return teacher
