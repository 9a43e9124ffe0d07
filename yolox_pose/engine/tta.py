"""Add test-time augmentation to a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mmengine.config import Config

from yolox_pose.errors import UsageError


class TTASettings(NamedTuple):
    """Augmented views of test-time augmentation.

    Attributes:
        scales: Scales relative to the input size of the config.
        flip: Whether each scale is also evaluated mirrored.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = True


def apply_tta(config: Config, settings: TTASettings) -> None:
    """Make the test pipeline produce augmented views and the model fuse their detections.

    Args:
        config: Config to change in place.
        settings: Augmented views.

    Raises:
        UsageError: If the test pipeline does not end with ``LetterboxResize`` and ``PackYOLOXPoseInputs``.
    """
    dataset = config.test_dataloader.dataset
    while "pipeline" not in dataset and "dataset" in dataset:
        dataset = dataset.dataset
    pipeline = list(dataset.get("pipeline", ()))
    if [_name(transform) for transform in pipeline[-2:]] != ["LetterboxResize", "PackYOLOXPoseInputs"]:
        raise UsageError("--tta needs a test pipeline that ends with LetterboxResize and PackYOLOXPoseInputs")
    letterbox = {"type": "yolox_pose.TTALetterbox", "scales": settings.scales, "flip": settings.flip}
    dataset.pipeline = [*pipeline[:-2], {**pipeline[-2], **letterbox}]
    config.model = {"type": "yolox_pose.YOLOXPoseTTA", "module": config.model}


def _name(transform: Mapping[str, Any]) -> str:
    """Return the class name of a transform's config without its scope."""
    kind = transform["type"]
    return (kind if isinstance(kind, str) else kind.__name__).rpartition(".")[2]
