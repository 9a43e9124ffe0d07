"""Hook that draws the same validation images after each validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner

from yolox_pose.errors import UsageError
from yolox_pose.registry import HOOKS
from yolox_pose.visualization.drawing import draw_poses
from yolox_pose.visualization.side_by_side import side_by_side

FOLDER = "val_pictures"


@HOOKS.register_module()
class ValPicturesHook(Hook):
    """Draw annotations and predictions of some validation images side by side.

    The pictures go to ``val_pictures/epoch_N/`` in the work dir, named by image ids.

    Args:
        num: Number of images, evenly spread over the validation data.
        score_thr: Lowest score of a detection that is drawn.

    Raises:
        UsageError: If ``num`` is not positive, or the validation data set is not one of this package.
    """

    priority = "LOW"

    def __init__(self, num: int = 8, score_thr: float = 0.3) -> None:
        if num < 1:
            raise UsageError(f"pictures of the validation: their number must be at least 1, not {num}")
        self.num, self.score_thr = num, score_thr
        self.chosen: dict[int, int] = {}

    def before_val_epoch(self, runner: Runner) -> None:
        """Choose the images, the same in each epoch."""
        dataset: Any = runner.val_dataloader.dataset
        if not hasattr(dataset, "records"):
            raise UsageError(f"pictures of the validation are for yolox_pose's data sets, not {type(dataset).__name__}")
        positions = np.unique(np.linspace(0, len(dataset) - 1, min(self.num, len(dataset))).round().astype(int))
        self.chosen = {int(dataset.records.image_ids[position]): int(position) for position in positions}

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Draw the chosen images of this batch; each process draws its share."""
        for sample in outputs or ():
            position = self.chosen.get(sample.metainfo["img_id"])
            if position is not None:
                self._write(runner, sample, position)

    def _write(self, runner: Runner, sample: Any, position: int) -> None:
        dataset = runner.val_dataloader.dataset
        folder = Path(runner.work_dir, FOLDER, f"epoch_{runner.epoch}")
        folder.mkdir(parents=True, exist_ok=True)
        img = dataset.load_image(position)
        common = {"skeleton": dataset.skeleton, "classes": dataset.records.classes}
        left = draw_poses(img, **annotated(dataset.records, position), **common)
        right = draw_poses(img, **predicted(sample.pred_instances, self.score_thr), **common)
        name = f"{sample.metainfo['img_id']}.jpg"
        cv2.imwrite(str(folder / name), side_by_side(left, right, ("annotated", f"epoch {runner.epoch}")))


def annotated(records: Any, position: int) -> Mapping[str, Any]:
    """Return arguments of :func:`~yolox_pose.visualization.drawing.draw_poses` for the annotations of an image."""
    rows = records.rows(position)
    return {
        "keypoints": records.keypoints[rows],
        "keypoint_scores": None,
        "keypoints_visible": records.visible[rows],
        "boxes": records.boxes[rows],
        "scores": None,
        "labels": records.labels[rows],
    }


def predicted(instances: Any, threshold: float) -> Mapping[str, Any]:
    """Return the same arguments for predictions with a score of at least ``threshold``."""
    kept = instances[instances.scores >= threshold].cpu().numpy()
    keypoints = kept.keypoints if "keypoints" in kept else np.zeros((len(kept), 0, 2), np.float32)
    scores = kept.keypoint_scores if "keypoint_scores" in kept else np.zeros((len(kept), 0), np.float32)
    return {
        "keypoints": keypoints,
        "keypoint_scores": scores,
        "boxes": kept.bboxes,
        "scores": kept.scores,
        "labels": kept.labels,
    }
