"""Fine-tuning without forgetting: the detector that a training starts from goes on saying what it sees."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from yolox_pose.checkpoints.files import read_checkpoint
from yolox_pose.checkpoints.matching import check_complete, match_weights
from yolox_pose.checkpoints.preprocessing import adopt_normalization, stored_preprocessing
from yolox_pose.engine.run import classes_of, model_of
from yolox_pose.errors import DataError
from yolox_pose.ops import DistillationWeights
from yolox_pose.registry import HOOKS, MODELS
from yolox_pose.weights import find_weights

KEPT = "kept_detector"
"""Entry of a checkpoint's ``meta``: the file, for a run that is resumed."""


@HOOKS.register_module()
class DistillationHook(Hook):
    """Holds a model near the detections of a detector while it learns from few images, which would make it forget.

    The detector computes every batch once more, without gradients and without keypoints: a quarter more time.

    Args:
        checkpoint: Weights of the detector, in any known layout, of this model's size; ``'bundled'`` is possible. None
            takes those that the training starts from.
        score: Weight of the scores (:class:`yolox_pose.ops.DistillationWeights`).
        box: Weight of the boxes.

    Raises:
        DataError: If there are no such weights, they do not fit, or they want another normalisation than the model has.
    """

    def __init__(
        self,
        checkpoint: str | None = None,
        score: float = DistillationWeights().score,
        box: float = DistillationWeights().box,
    ) -> None:
        self.checkpoint, self.weights = checkpoint, DistillationWeights(score, box)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember the detector of a run that is resumed."""
        if runner._resume and self.checkpoint is None:
            self.checkpoint = (checkpoint.get("meta") or {}).get(KEPT)

    def before_train(self, runner: Runner) -> None:
        """Read the detector."""
        if self.checkpoint is None:
            self.checkpoint = None if runner._resume else runner._load_from
        if self.checkpoint is None:
            raise DataError(
                "DistillationHook has no detector to keep: start with --load-from, or give its 'checkpoint'"
            )
        model = model_of(runner)
        detector = read_detector(self.checkpoint, runner.cfg.model, model, classes_of(runner))
        model.distill(detector, self.weights)
        runner.logger.info(f"the detections of {self.checkpoint} are kept ({self.weights})")

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note the detector."""
        checkpoint.setdefault("meta", {})[KEPT] = self.checkpoint


def read_detector(path: str, config: Any, model: Any, classes: Any = None) -> Any:
    """A model of a config without its keypoints, with the weights of a file.

    Raises:
        DataError: As :class:`DistillationHook`.
    """
    config = copy.deepcopy(config)
    config.update(compile=False, micro_batch=None)
    config.head.skeleton = None
    config.head.pop("keypoint_classes", None)
    detector = MODELS.build(config)
    found = read_checkpoint(find_weights(path))
    own = detector.state_dict()
    fit = match_weights(found.weights, own, source_classes=found.dataset_meta.get("classes"), target_classes=classes)
    check_complete(fit, own, found.weights, path)
    wanted = dict(model.data_preprocessor.normalization)
    adopt_normalization(wanted, stored_preprocessing(found.dataset_meta))
    if wanted != model.data_preprocessor.normalization:
        raise DataError(f"{path} wants its images normalised otherwise than the model that it is to be kept in")
    detector.load_state_dict(fit.weights, strict=False)
    return detector
