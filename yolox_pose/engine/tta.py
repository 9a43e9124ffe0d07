"""From a config to one with test-time augmentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from yolox_pose.errors import UsageError


class TTASettings(NamedTuple):
    """What test-time augmentation looks at.

    Attributes:
        scales: Sizes against the config's input size.
        flip: Whether mirrored images too.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = True


def apply_tta(config: Any, views: TTASettings) -> None:
    """Let the test pipeline of a config give several views and its model merge what it finds in them, in place.

    Args:
        config: An ``mmengine.Config``.
        views: What to look at.

    Raises:
        UsageError: If the test pipeline does not end with ``LetterboxResize`` and ``PackYOLOXPoseInputs``.
    """
    dataset = config.test_dataloader.dataset
    while "pipeline" not in dataset and "dataset" in dataset:
        dataset = dataset.dataset
    pipeline = list(dataset.get("pipeline", ()))
    if [_name(transform) for transform in pipeline[-2:]] != ["LetterboxResize", "PackYOLOXPoseInputs"]:
        raise UsageError("--tta needs a test pipeline that ends with LetterboxResize and PackYOLOXPoseInputs")
    letterbox = {"type": "yolox_pose.TTALetterbox", "scales": views.scales, "flip": views.flip}
    dataset.pipeline = [*pipeline[:-2], {**pipeline[-2], **letterbox}]
    config.model = {"type": "yolox_pose.YOLOXPoseTTA", "module": config.model}


def _name(transform: Mapping[str, Any]) -> str:
    kind = transform["type"]
    return (kind if isinstance(kind, str) else kind.__name__).rpartition(".")[2]
