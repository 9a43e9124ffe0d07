"""Poses from images in one call."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from yolox_pose.apis.model_info import find_classes, find_preprocessing, find_skeleton
from yolox_pose.apis.model_io import load_model
from yolox_pose.apis.results import PoseResult
from yolox_pose.apis.sources import Source, list_sources
from yolox_pose.errors import DataError, UsageError
from yolox_pose.geometry.letterbox import Letterbox, fit_letterbox, letterbox_image
from yolox_pose.geometry.pose_nms import CRITERIA, SOFT_METHODS
from yolox_pose.registry import SCOPE

from mmengine.config import Config  # isort: skip  (after the registry, which fills gaps of the stack)
from mmengine.registry import init_default_scope  # isort: skip
from mmpose.structures import PoseDataSample  # isort: skip

logger = logging.getLogger(__name__)

NMS_SETTINGS = ("nms_type", "nms_thr", "oks_thr", "soft_nms", "soft_sigma")
"""Fields of the model's settings that ``nms`` may name."""


class Skipped(NamedTuple):
    """A file that could not be read."""

    path: Path
    reason: str


class _Image(NamedTuple):
    """An image on its way through the network."""

    source: Source
    pixels: np.ndarray
    letterbox: Letterbox


class PoseInferencer:
    """Finds people and their poses in images.

    Args:
        config: Config file (or :class:`mmengine.Config`) of the model.
        checkpoint: Its weights. None leaves them random.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        score_threshold: Lowest score of a person.
        nms_threshold: IoU above which the less certain of two boxes is dropped; None takes the config's.
        max_persons: Most persons an image; None takes the config's.
        batch_size: Images that go through the network together.
        nms: What suppression of doubles compares, ``'box'``, ``'oks'`` or ``'box_oks'``, or a mapping of fields of
            :class:`yolox_pose.models.detections.TestSettings` (:data:`NMS_SETTINGS`); None takes the config's.
        keep_images: Whether results of files hold the decoded image; else it is read again when it is asked for.

    Attributes:
        skeleton: Of the keypoints; None for plain detection.
        classes: Class names in label order.
        keypoint_classes: Labels of the classes that have keypoints.
        skipped: Files that the last call could not read, filled while its results are taken.

    Raises:
        UsageError: If config, checkpoint or device are not there, or an option is out of range.
        DataError: If the checkpoint does not fit the config.

    Example:
        >>> pose = PoseInferencer("config.py", "weights.pth")
        >>> for result in pose("photos/"):
        ...     print(result.path, len(result), result.keypoints.shape)
    """

    def __init__(
        self,
        config: str | os.PathLike[str] | Config,
        checkpoint: str | os.PathLike[str] | None = None,
        device: str | torch.device = "auto",
        *,
        score_threshold: float = 0.3,
        nms_threshold: float | None = None,
        max_persons: int | None = None,
        batch_size: int = 8,
        nms: str | Mapping[str, Any] | None = None,
        keep_images: bool = False,
    ) -> None:
        settings = _test_settings(score_threshold, nms_threshold, max_persons) | _nms_settings(nms)
        self.batch_size = _checked_batch_size(batch_size)
        model: Any = load_model(config, checkpoint, device)
        model.test_cfg = {**(model.test_cfg or {}), **settings}
        self.model = model
        self.preprocessing = find_preprocessing(model.cfg, model.dataset_meta)
        self.skeleton = find_skeleton(model)
        self.classes = find_classes(model)
        self.keypoint_classes: tuple[int, ...] = model.head.keypoint_classes
        self.keep_images = keep_images
        self.skipped: list[Skipped] = []

    def __call__(
        self, source: Any, *, batch_size: int | None = None, skip_unreadable: bool | None = None
    ) -> Iterator[PoseResult]:
        """Find the poses in one or many images.

        Args:
            source: Path of an image, folder, or glob pattern, a BGR array, a PIL image, or a list of these.
            batch_size: Images that go through the network together, where it should not be the inferencer's.
            skip_unreadable: Whether a file that cannot be read is left out with a warning and noted in ``skipped``, or is
                an error. None: left out where there are several.

        Returns:
            Iterator over the results, in the order of the images.

        Raises:
            UsageError: If a path is not there or a folder is empty; at once, before anything is computed.
            DataError: If an image cannot be read; while the results are taken.
        """
        sources = list_sources(source)
        size = self.batch_size if batch_size is None else _checked_batch_size(batch_size)
        skip = len(sources) > 1 if skip_unreadable is None else skip_unreadable
        self.skipped = []
        return self._stream(sources, size, skip)

    def _stream(self, sources: Sequence[Source], batch_size: int, skip: bool) -> Iterator[PoseResult]:
        images = self._read(sources, skip)
        while batch := list(islice(images, batch_size)):
            yield from self._predict(batch)

    def _read(self, sources: Iterable[Source], skip: bool) -> Iterator[_Image]:
        """Decoded images with their places in the canvas."""
        for source in sources:
            try:
                pixels = source.read()
            except DataError as error:
                if not skip or source.path is None:
                    raise
                self.skipped.append(Skipped(source.path, str(error)))
                logger.warning("skipped: %s", error)
                continue
            letterbox = fit_letterbox(pixels.shape[1::-1], self.preprocessing.size, self.preprocessing.centered)
            yield _Image(source, pixels, letterbox)

    def _predict(self, batch: Sequence[_Image]) -> list[PoseResult]:
        """Take one batch through the network."""
        inputs, samples = [], []
        for image in batch:
            canvas = letterbox_image(image.pixels, image.letterbox, self.preprocessing.pad_value)
            inputs.append(torch.from_numpy(canvas).permute(2, 0, 1).contiguous())
            samples.append(_data_sample(image))
        init_default_scope(self.model.cfg.get("default_scope", SCOPE))
        with torch.inference_mode():
            samples = self.model.test_step({"inputs": inputs, "data_samples": samples})
        return [self._result(image, sample.pred_instances) for image, sample in zip(batch, samples)]

    def _result(self, image: _Image, found: Any) -> PoseResult:
        n, (height, width) = len(found.scores), image.pixels.shape[:2]
        num_keypoints = self.skeleton.num_keypoints if self.skeleton is not None else 0
        keypoints, keypoint_scores = (
            np.zeros((n, num_keypoints, 2), np.float32),
            np.zeros((n, num_keypoints), np.float32),
        )
        if num_keypoints:
            keypoints, keypoint_scores = _numpy(found.keypoints), _numpy(found.keypoint_scores)
        held = image.source.path is None or self.keep_images
        return PoseResult(
            keypoints=keypoints,
            keypoint_scores=keypoint_scores,
            boxes=_numpy(found.bboxes),
            scores=_numpy(found.scores),
            labels=_numpy(found.labels, np.int64),
            skeleton=self.skeleton,
            classes=self.classes,
            keypoint_classes=self.keypoint_classes,
            path=image.source.path,
            size=(width, height),
            held_image=image.pixels if held else None,
        )


def _test_settings(score: float, nms: float | None, max_persons: int | None) -> dict[str, Any]:
    """Entries of the model's ``test_cfg``."""
    for name, value in (("score_threshold", score), ("nms_threshold", nms)):
        if value is not None and not 0 <= value <= 1:
            raise UsageError(f"{name} must be between 0 and 1, not {value}")
    if max_persons is not None and max_persons < 1:
        raise UsageError(f"max_persons must be at least 1, not {max_persons}")
    settings = {"score_thr": score, "nms_thr": nms, "max_per_img": max_persons}
    return {key: value for key, value in settings.items() if value is not None}


def _nms_settings(nms: str | Mapping[str, Any] | None) -> dict[str, Any]:
    """Entries of the model's ``test_cfg``."""
    settings = {"nms_type": nms} if isinstance(nms, str) else dict(nms or {})
    unknown = sorted(set(settings) - set(NMS_SETTINGS))
    if unknown:
        raise UsageError(f"nms: unknown settings {', '.join(unknown)}; known: {', '.join(NMS_SETTINGS)}")
    for name, known in (("nms_type", CRITERIA), ("soft_nms", SOFT_METHODS)):
        if settings.get(name, known[0]) not in known:
            raise UsageError(f"nms: {name} must be one of {', '.join(known)}, not {settings[name]!r}")
    return settings


def _checked_batch_size(batch_size: int) -> int:
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1, not {batch_size}")
    return batch_size


def _data_sample(image: _Image) -> PoseDataSample:
    """The sample that the model writes its predictions into."""
    height, width = image.pixels.shape[:2]
    meta = {
        "img_path": None if image.source.path is None else str(image.source.path),
        "ori_shape": (height, width),
        "img_shape": image.letterbox.size[::-1],
        "input_size": image.letterbox.size,
        "letterbox": (*image.letterbox.scale, *image.letterbox.pad),
    }
    return PoseDataSample(metainfo=meta)


def _numpy(values: Any, dtype: type = np.float32) -> np.ndarray:
    return np.asarray(values.cpu() if isinstance(values, torch.Tensor) else values, dtype=dtype)
