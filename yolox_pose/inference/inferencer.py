"""Poses from images in one call, by a network in PyTorch or an exported one. torch is imported for the former alone."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from yolox_pose.errors import DataError, UsageError
from yolox_pose.geometry.letterbox import Fitted, Preprocessing, fit_image
from yolox_pose.inference.exported.backends import MODEL_SUFFIXES
from yolox_pose.inference.results import PoseResult
from yolox_pose.inference.sequence import follow
from yolox_pose.io.sources import Frame, Source, list_sources, read_frames
from yolox_pose.structures.constants import DEFAULT_FPS
from yolox_pose.structures.detections import Detections
from yolox_pose.structures.settings import settings_overrides
from yolox_pose.structures.skeleton import Skeleton
from yolox_pose.tracking import SmootherSettings, TrackerSettings
from yolox_pose.utils.background import prefetch, usable_cores
from yolox_pose.weights import BUNDLED_NAME, find_model

if TYPE_CHECKING:
    import torch
    from mmengine.config import Config

logger = logging.getLogger(__name__)

READERS = max(1, min(8, usable_cores() // 2))
"""Threads that decode images; the network has the other cores, so that on two it is one."""

UNSURE_SCORE = TrackerSettings().low_score
"""Detections from here on are given to the tracker, whatever the score threshold is."""


class Skipped(NamedTuple):
    """A source that could not be read; its path is the address where it is none."""

    path: Any
    reason: str


class _Image(NamedTuple):
    """An image on its way through the network."""

    frame: Frame
    fitted: Fitted


class Network(Protocol):
    """What finds people in letterboxed images: :class:`yolox_pose.inference.torch_network.TorchNetwork` or
    :class:`yolox_pose.inference.exported.network.ExportedNetwork`.
    """

    preprocessing: Preprocessing
    skeleton: Skeleton | None
    classes: tuple[str, ...]
    keypoint_classes: tuple[int, ...]
    ahead: int
    """Batches that are worth beginning, in a thread, before the one before is finished."""

    def begin(
        self, batch: Sequence[Fitted], settings: Mapping[str, Any] | None = None
    ) -> Callable[[], list[Detections]]:
        """Begin with a batch; what is returned gives its detections in pixels of the source images."""


class PoseInferencer:
    """Finds people and their poses in images.

    Args:
        config: Config file (or :class:`mmengine.Config`) of the model, or an exported model: ``.onnx``, OpenVINO's ``.xml``
            or ncnn's ``.param``. A name of published weights, their URL, or a checkpoint that holds its config stands for
            both config and checkpoint. None, without a checkpoint, takes the model that comes with the package.
        checkpoint: Its weights: a file, a published name or a URL. None leaves those of a config random. An exported model
            has its own.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``. Exported models run where
            their runtime does.
        score_thr: Lowest score of a person.
        nms_thr: IoU above which the less certain of two boxes is dropped; None takes the config's.
        max_per_img: Most persons an image; None takes the config's.
        batch_size: Images that go through the network together.
        classes: Names or labels of the classes that are looked for; None for all.
        half: Compute the network in half precision: float16 on a GPU, bfloat16, which has 8
            bits, on a CPU.
        nms: What suppression of doubles compares, ``'box'``, ``'oks'`` or ``'box_oks'``, or a mapping of fields of
            :class:`yolox_pose.structures.settings.PostprocessSettings` (its :data:`NMS_FIELDS`); None takes the config's.
        keep_images: Whether results of files hold the decoded image; else it is read again when it is asked for.
        backend: What runs an exported model; see :func:`yolox_pose.runtime.load`.
        input_size: (H, W) of the input of an exported model with a dynamic size.
        threads: Threads of an exported model.

    Attributes:
        network: What is called with letterboxed images.
        skeleton: Of the keypoints; None for plain detection.
        classes: Class names in label order.
        keypoint_classes: Labels of the classes that have keypoints.
        skipped: Files, addresses and cameras that the last call could not read, filled while its results are taken.

    Raises:
        UsageError: If config, checkpoint or device are not there, or an option is out of range.
        DataError: If the checkpoint does not fit the config.

    Example:
        >>> pose = PoseInferencer("s")  # or PoseInferencer(), or PoseInferencer("config.py", "weights.pth")
        >>> for result in pose("photos/"):
        ...     print(result.path, len(result), result.keypoints.shape)
    """

    def __init__(
        self,
        config: str | os.PathLike[str] | Config | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        device: str | torch.device = "auto",
        *,
        score_thr: float = 0.3,
        nms_thr: float | None = None,
        max_per_img: int | None = None,
        batch_size: int = 8,
        classes: Sequence[str | int] | None = None,
        half: bool = False,
        nms: str | Mapping[str, Any] | None = None,
        keep_images: bool = False,
        backend: str | None = None,
        input_size: tuple[int, int] | None = None,
        threads: int | None = None,
    ) -> None:
        settings = settings_overrides(score_thr=score_thr, nms_thr=nms_thr, max_per_img=max_per_img, nms=nms)
        self.batch_size = _checked_batch_size(batch_size)
        if config is None:
            config, checkpoint = find_model(None, BUNDLED_NAME if checkpoint is None else checkpoint)
        if is_exported(config):
            if checkpoint is not None or half or str(device) not in ("auto", "cpu"):
                raise UsageError(
                    f"{config} is an exported model: it has its own weights and runs where its runtime does"
                )
            from yolox_pose.inference.exported.network import ExportedNetwork

            exported = ExportedNetwork.load(config, backend=backend, size=input_size, threads=threads)
            exported.postprocess_settings(settings)  # refuses at once what does not go with the model
            self.network: Network = exported
        else:
            if (backend, input_size, threads) != (None, None, None):
                raise UsageError("backend, input_size and threads are for exported models")
            from yolox_pose.inference.torch_network import TorchNetwork

            self.network = TorchNetwork(config, checkpoint, device, half=half)
        self.preprocessing = self.network.preprocessing
        self.skeleton, self.classes = self.network.skeleton, self.network.classes
        self.keypoint_classes = self.network.keypoint_classes
        if classes is not None:
            settings["classes"] = find_labels(classes, self.classes)
        self.settings = settings
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
        fps: float = DEFAULT_FPS,
    ) -> Iterator[PoseResult]:
        """Find the poses in images and videos.

        Images are read and fitted in threads of their own while the network is at the batch before.

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
        alone = len(sources) == 1 and not sources[0].is_video
        images = self._read(sources, skip, 1 if live or alone else READERS)
        if not alone:
            images = prefetch(images, depth=1 if live else 2 * batch_size)
        batches = iter(lambda: list(islice(images, batch_size)), [])
        begun: Iterator[Callable[[], list[PoseResult]]] = (self._begin(batch, settings) for batch in batches)
        if self.network.ahead and not live and not alone:
            begun = prefetch(begun, depth=self.network.ahead)
        for results in begun:
            yield from results()

    def _read(self, sources: Iterable[Source], skip: bool, workers: int = 1) -> Iterator[_Image]:
        """Decoded images with their places in the canvas."""

        def note(source: Source, error: DataError) -> None:
            self.skipped.append(Skipped(source.path or source.label, str(error)))
            logger.warning("skipped: %s", error)

        return read_frames(sources, note if skip else None, self._fitted, workers)

    def _fitted(self, frame: Frame) -> _Image:
        """A decoded image in the canvas of the network."""
        fitted = fit_image(frame.pixels, self.preprocessing)
        if frame.source.path is not None and frame.index is None and not self.keep_images:
            frame = frame._replace(pixels=np.zeros((0, 0, 3), np.uint8))  # it is read again if asked for
        return _Image(frame, fitted)

    def _begin(self, batch: Sequence[_Image], settings: dict[str, Any]) -> Callable[[], list[PoseResult]]:
        """Begin to take one batch through the network; what is returned gives the results."""
        found = self.network.begin([image.fitted for image in batch], settings)
        return lambda: [self._result(image, detections) for image, detections in zip(batch, found())]

    def _result(self, image: _Image, found: Detections) -> PoseResult:
        frame, source = image.frame, image.frame.source
        return PoseResult(
            **found._asdict(),
            skeleton=self.skeleton,
            classes=self.classes,
            keypoint_classes=self.keypoint_classes,
            path=source.path,
            name=source.name,
            frame=frame.index,
            time=frame.time,
            fps=frame.fps,
            size=image.fitted.letterbox.source,
            source=source,
            held_image=frame.pixels if len(frame.pixels) else None,
        )


def is_exported(config: Any) -> bool:
    """Whether this names an exported model rather than a config."""
    return isinstance(config, (str, os.PathLike)) and Path(config).suffix in MODEL_SUFFIXES


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


def _checked_batch_size(batch_size: int) -> int:
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1, not {batch_size}")
    return batch_size
