"""Poses from images in one call."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch

from yolox_pose.apis.model_info import find_classes, find_preprocessing, find_skeleton
from yolox_pose.apis.model_io import load_model
from yolox_pose.apis.results import PoseResult
from yolox_pose.apis.sequence import follow
from yolox_pose.apis.sources import Frame, Source, list_sources, read_frames
from yolox_pose.background import prefetch
from yolox_pose.errors import DataError, UsageError
from yolox_pose.geometry.letterbox import Letterbox, fit_letterbox, letterbox_image
from yolox_pose.geometry.pose_nms import CRITERIA, SOFT_METHODS
from yolox_pose.registry import SCOPE
from yolox_pose.tracking import SmootherSettings, TrackerSettings

from mmcv.cnn import fuse_conv_bn  # isort: skip  (after the registry, which fills gaps of the stack)
from mmengine.config import Config  # isort: skip
from mmengine.registry import init_default_scope  # isort: skip
from mmpose.structures import PoseDataSample  # isort: skip

logger = logging.getLogger(__name__)

NMS_SETTINGS = ("nms_type", "nms_thr", "oks_thr", "soft_nms", "soft_sigma")
"""Fields of the model's settings that ``nms`` may name."""


UNSURE_SCORE = TrackerSettings().low_score
"""Detections from here on are given to the tracker, whatever the score threshold is."""

HALF_TYPES = {"cuda": torch.float16, "mps": torch.float16, "cpu": torch.bfloat16}
"""Half precision of each kind of device: CPUs compute in bfloat16, if at all."""


class Skipped(NamedTuple):
    """A source that could not be read; its path is the address where it is none."""

    path: Any
    reason: str


class _Image(NamedTuple):
    """An image on its way through the network."""

    frame: Frame
    canvas: np.ndarray
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
        classes: Names or labels of the classes that are looked for; None for all.
        half: Compute the network in half precision: float16 on a GPU, bfloat16, which has 8
            bits, on a CPU.
        nms: What suppression of doubles compares, ``'box'``, ``'oks'`` or ``'box_oks'``, or a mapping of fields of
            :class:`yolox_pose.models.detections.TestSettings` (:data:`NMS_SETTINGS`); None takes the config's.
        keep_images: Whether results of files hold the decoded image; else it is read again when it is asked for.

    Attributes:
        skeleton: Of the keypoints; None for plain detection.
        classes: Class names in label order.
        keypoint_classes: Labels of the classes that have keypoints.
        skipped: Files, addresses and cameras that the last call could not read, filled while its results are taken.

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
        classes: Sequence[str | int] | None = None,
        half: bool = False,
        nms: str | Mapping[str, Any] | None = None,
        keep_images: bool = False,
    ) -> None:
        settings = _test_settings(score_threshold, nms_threshold, max_persons) | _nms_settings(nms)
        self.batch_size = _checked_batch_size(batch_size)
        model: Any = fuse_conv_bn(load_model(config, checkpoint, device))
        self.device = next(model.parameters()).device
        self.dtype = HALF_TYPES[self.device.type] if half else torch.float32
        self.model = model.to(dtype=self.dtype, memory_format=torch.channels_last)
        self.preprocessing = find_preprocessing(model.cfg, model.dataset_meta)
        self.skeleton = find_skeleton(model)
        self.classes = find_classes(model)
        self.keypoint_classes: tuple[int, ...] = model.head.keypoint_classes
        if classes is not None:
            settings["classes"] = find_labels(classes, self.classes)
        self.settings: dict[str, Any] = {**(model.test_cfg or {}), **settings}
        self.keep_images = keep_images
        self.skipped: list[Skipped] = []

    def __call__(
        self,
        source: Any,
        *,
        batch_size: int | None = None,
        skip_unreadable: bool | None = None,
        track: bool | TrackerSettings = False,
        smooth: bool | SmootherSettings = False,
        fps: float = 25.0,
    ) -> Iterator[PoseResult]:
        """Find the poses in images and videos.

        Images are read and fitted in a thread of their own while the network is at the batch before.

        Args:
            source: Path of an image, video or folder, a glob pattern, an address (``http``, ``https``, ``rtsp`` …), the index
                of a camera, a BGR array, a PIL image, or a list of these.
            batch_size: Images that go through the network together, where it should not be the inferencer's. Cameras and
                streams go one by one.
            skip_unreadable: Whether a file that cannot be read is left out with a warning and noted in ``skipped``, or is
                an error. None: left out where there are several.
            track: Whether persons get ids (``result.track_ids``) that are the same in all frames. Then unsure detections
                count too where they continue a track.
            smooth: Whether the keypoints of tracked persons are smoothed over time; implies ``track``.
            fps: Frames per second of images that are no video, for ``track`` and ``smooth``.

        Returns:
            Iterator over the results, in the order of the images.

        Raises:
            UsageError: If a path is not there or a folder is empty; at once, before anything is computed.
            DataError: If an image cannot be read; while the results are taken.
        """
        sources = list_sources(source)
        size = self.batch_size if batch_size is None else _checked_batch_size(batch_size)
        size = 1 if any(found.is_live for found in sources) else size
        skip = len(sources) > 1 if skip_unreadable is None else skip_unreadable
        self.skipped = []
        if not track and not smooth:
            return self._stream(sources, size, skip, self.settings)
        score = float(self.settings.get("score_thr", 0))
        if not isinstance(track, TrackerSettings):
            track = TrackerSettings(high_score=score, low_score=min(UNSURE_SCORE, score))
        if smooth and not isinstance(smooth, SmootherSettings):
            smooth = SmootherSettings()
        results = self._stream(sources, size, skip, {**self.settings, "score_thr": min(track.low_score, score)})
        return follow(results, track, smooth or None, fps)

    def _stream(
        self, sources: Sequence[Source], batch_size: int, skip: bool, settings: dict[str, Any]
    ) -> Iterator[PoseResult]:
        live = any(source.is_live for source in sources)  # reading ahead would make its pictures late
        images = prefetch(self._read(sources, skip), depth=1 if live else 2 * batch_size)
        while batch := list(islice(images, batch_size)):
            yield from self._predict(batch, settings)

    def _read(self, sources: Iterable[Source], skip: bool) -> Iterator[_Image]:
        """Decoded images with their places in the canvas."""

        def note(source: Source, error: DataError) -> None:
            self.skipped.append(Skipped(source.path or source.label, str(error)))
            logger.warning("skipped: %s", error)

        for frame in read_frames(sources, note if skip else None):
            letterbox = fit_letterbox(frame.pixels.shape[1::-1], self.preprocessing.size, self.preprocessing.centered)
            canvas = letterbox_image(frame.pixels, letterbox, self.preprocessing.pad_value)
            if frame.source.path is not None and frame.index is None and not self.keep_images:
                frame = frame._replace(pixels=np.zeros((0, 0, 3), np.uint8))  # it is read again if asked for
            yield _Image(frame, canvas, letterbox)

    def _predict(self, batch: Sequence[_Image], settings: dict[str, Any]) -> list[PoseResult]:
        """Take one batch through the network."""
        inputs = torch.from_numpy(np.stack([image.canvas for image in batch])).permute(0, 3, 1, 2)  # channels-last
        samples = [_data_sample(image) for image in batch]
        init_default_scope(self.model.cfg.get("default_scope", SCOPE))
        self.model.test_cfg = settings
        with torch.inference_mode():
            data = self.model.data_preprocessor({"inputs": inputs, "data_samples": samples})
            samples = self.model.predict(data["inputs"].to(self.dtype), data["data_samples"])
        return [self._result(image, sample.pred_instances) for image, sample in zip(batch, samples)]

    def _result(self, image: _Image, found: Any) -> PoseResult:
        n, frame, source = len(found.scores), image.frame, image.frame.source
        num_keypoints = self.skeleton.num_keypoints if self.skeleton is not None else 0
        keypoints, keypoint_scores = (
            np.zeros((n, num_keypoints, 2), np.float32),
            np.zeros((n, num_keypoints), np.float32),
        )
        if num_keypoints:
            keypoints, keypoint_scores = _numpy(found.keypoints), _numpy(found.keypoint_scores)
        return PoseResult(
            keypoints=keypoints,
            keypoint_scores=keypoint_scores,
            boxes=_numpy(found.bboxes),
            scores=_numpy(found.scores),
            labels=_numpy(found.labels, np.int64),
            skeleton=self.skeleton,
            classes=self.classes,
            keypoint_classes=self.keypoint_classes,
            path=source.path,
            name=source.name,
            frame=frame.index,
            time=frame.time,
            fps=frame.fps,
            size=image.letterbox.source,
            source=source,
            held_image=frame.pixels if len(frame.pixels) else None,
        )


def find_labels(wanted: Sequence[str | int], classes: Sequence[str]) -> tuple[int, ...]:
    """Labels of classes that are given by name or label.

    Raises:
        UsageError: If there is no such class, or none is given.
    """
    labels = []
    for item in wanted:
        if isinstance(item, str) and item in classes:
            labels.append(classes.index(item))
        elif str(item).isdigit() and int(item) < len(classes):
            labels.append(int(item))
        else:
            raise UsageError(f"the model has no class {item!r}; its {len(classes)} are {', '.join(classes)}")
    if not labels:
        raise UsageError("classes names no class")
    return tuple(sorted(set(labels)))


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
    width, height = image.letterbox.source
    meta = {
        "img_path": image.frame.source.label,
        "ori_shape": (height, width),
        "img_shape": image.letterbox.size[::-1],
        "input_size": image.letterbox.size,
        "letterbox": (*image.letterbox.scale, *image.letterbox.pad),
    }
    return PoseDataSample(metainfo=meta)


def _numpy(values: Any, dtype: type = np.float32) -> np.ndarray:
    return np.asarray(values.cpu() if isinstance(values, torch.Tensor) else values, dtype=dtype)
