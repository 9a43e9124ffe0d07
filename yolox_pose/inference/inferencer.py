"""Detect persons and their poses in images, videos and cameras, with a PyTorch or an exported model.

torch is imported only for a PyTorch model.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

import numpy as np

from yolox_pose.errors import DataError, UsageError
from yolox_pose.geometry.letterbox import Fitted, Preprocessing, fit_image
from yolox_pose.geometry.tiles import Tiles, as_tiles, merge_tiles, tile_grid
from yolox_pose.inference.exported.backends import MODEL_SUFFIXES
from yolox_pose.inference.network import Network
from yolox_pose.inference.results import PoseResult, Timings
from yolox_pose.inference.sequence import SequenceTracker, track_results
from yolox_pose.io.sources import Frame, Source, list_sources, read_frames
from yolox_pose.structures.constants import DEFAULT_FPS, DEFAULT_SCORE_THR, SIZE_DIVISOR
from yolox_pose.structures.detections import Detections
from yolox_pose.structures.settings import settings_overrides
from yolox_pose.tracking import SmootherSettings, TrackerSettings
from yolox_pose.tracking.assignment import load_solver
from yolox_pose.utils.background import prefetch
from yolox_pose.utils.cores import usable_cores
from yolox_pose.utils.dependencies import require_torch_stack

if TYPE_CHECKING:
    import torch
    from mmengine.config import Config

logger = logging.getLogger(__name__)

NUM_READERS = max(1, min(8, usable_cores() // 2))
"""Number of threads that decode images. The network uses the other cores."""

MAX_LOW_SCORE = TrackerSettings().low_score
"""The tracker gets detections from this score on, or from the score threshold if that is lower."""


class Skipped(NamedTuple):
    """Source that could not be read.

    Attributes:
        path: Path of the file, otherwise the address or camera.
        reason: Error message.
    """

    path: Path | str
    reason: str


class _Image(NamedTuple):
    """Image and its letterboxed copy, the input of the network.

    Attributes:
        frame: The image.
        fitted: Its letterboxed copy.
        seconds: Time that letterboxing took.
        tiles: Letterboxed copies of its tiles.
    """

    frame: Frame
    fitted: Fitted
    seconds: float
    tiles: tuple[Fitted, ...] = ()


class _Plan(NamedTuple):
    """Options of a call.

    Attributes:
        settings: Settings that override those of the model.
        preprocessing: How images become the input of the network.
        batch_size: Number of images and tiles in a batch.
        tiles: Grid of tiles. None for none.
    """

    settings: dict[str, Any]
    preprocessing: Preprocessing
    batch_size: int
    tiles: Tiles | None = None

    @property
    def images_per_batch(self) -> int:
        """Number of images whose tiles fill a batch, at least 1."""
        parts = 1 if self.tiles is None else self.tiles.rows * self.tiles.columns + 1
        return max(self.batch_size // parts, 1)


class PoseInferencer:
    """Detect persons and their poses in images.

    Args:
        config: Config of the model (a file, a name or a :class:`mmengine.Config`), or an exported model: ``.onnx``, ``.xml``
            of OpenVINO or ``.param`` of ncnn. A name of published weights, their URL, or a checkpoint that holds its config
            stands for both config and checkpoint. None or ``bundled``, without a checkpoint, uses the model in the package: in
            PyTorch if that is installed with OpenMMLab's packages, and its ONNX file otherwise or if ``backend`` is given.
        checkpoint: Weights of the model: a file, a published name or a URL. An exported model has its own weights.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``. Exported models run where their
            runtime does.
        score_thr: Lowest score of a person. None uses 0.5, and 0.3 for persons who start a track, whom several frames confirm.
        nms_thr: IoU above which two boxes are duplicates. None uses the model's.
        max_per_img: Maximum number of persons per image. None uses the model's.
        nms_type: What NMS compares: ``'box'``, ``'oks'`` or ``'box_oks'``. None uses the model's.
        oks_thr: OKS above which two poses are duplicates. None uses the model's.
        soft_nms: ``'none'``, ``'linear'`` or ``'gaussian'``. None uses the model's.
        soft_sigma: Sigma of ``'gaussian'`` soft-NMS. None uses the model's.
        batch_size: Number of images in a batch.
        classes: Names or labels of the classes to detect. None detects all.
        half: Whether to compute in half precision: float16 on a GPU, bfloat16 (8 significant bits) on a CPU.
        keep_images: Whether results of image files hold the decoded image. Otherwise it is read again when needed.
        backend: Runtime of an exported model: ``onnxruntime``, ``openvino``, ``ncnn`` or ``opencv``. None chooses by the ending
            of the file.
        size: Height and width of the network's input, or one number for both: multiples of 32. Larger inputs find smaller
            persons and take more time. An exported model must have a dynamic size. None uses the model's.
        tiles: Number of rows and columns of tiles that images are also cut into, or one number for both. Tiles find the small
            persons of large crowds, at the cost of a pass of the network each. None cuts no tiles.
        tile_overlap: Share of a tile that it has in common with its neighbor.
        threads: Number of threads of an exported model. None leaves it to the runtime.
        weights: ``'random'`` leaves the weights of a config random, for tests and timings.

    Attributes:
        network: The :class:`yolox_pose.inference.network.Network`.
        settings: Settings that override those of the model.
        preprocessing: How images become the input of the network.
        skeleton: Skeleton of the keypoints. None for plain detection.
        classes: Class names in label order.
        keypoint_classes: Labels of the classes that have keypoints.
        skipped: Sources that the last call could not read so far.

    Raises:
        UsageError: If config, checkpoint or device do not exist, a config has no weights, or an option is out of range.
        DataError: If the checkpoint does not match the config.
        MissingDependencyError: If PyTorch or the runtime of the model is not installed.

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
        score_thr: float | None = None,
        nms_thr: float | None = None,
        max_per_img: int | None = None,
        nms_type: str | None = None,
        oks_thr: float | None = None,
        soft_nms: str | None = None,
        soft_sigma: float | None = None,
        batch_size: int = 8,
        classes: Sequence[str | int] | None = None,
        half: bool = False,
        keep_images: bool = False,
        backend: str | None = None,
        size: int | tuple[int, int] | None = None,
        tiles: int | tuple[int, int] | None = None,
        tile_overlap: float = 0.25,
        threads: int | None = None,
        weights: str | None = None,
    ) -> None:
        # Check the options
        self.settings = settings_overrides(
            score_thr=DEFAULT_SCORE_THR if score_thr is None else score_thr,
            nms_thr=nms_thr,
            max_per_img=max_per_img,
            nms_type=nms_type,
            oks_thr=oks_thr,
            soft_nms=soft_nms,
            soft_sigma=soft_sigma,
        )
        self._default_score_thr = score_thr is None
        self.batch_size = _checked_batch_size(batch_size)
        self.tiles, self.tile_overlap = as_tiles(tiles, tile_overlap), tile_overlap
        input_size = None if size is None else as_input_size(size)
        if config is None or not is_exported(config):
            config, checkpoint = _choose_model(config, checkpoint, backend, weights)

        # Load the network
        self.network: Network
        if is_exported(config):
            if checkpoint is not None or half or str(device) not in ("auto", "cpu"):
                raise UsageError(
                    f"{config} is an exported model: it has its own weights and runs where its runtime does"
                )
            from yolox_pose.inference.exported.network import ExportedNetwork

            exported = ExportedNetwork.load(config, backend=backend, size=input_size, threads=threads)
            exported.postprocess_settings(self.settings)  # refuses settings that are fixed in the model
            self.network = exported
        else:
            if (backend, threads) != (None, None):
                raise UsageError("backend and threads are for exported models")
            self.network = _load_torch_network(config, checkpoint, device, half)

        # Take over what the network knows of its model
        self.preprocessing = self._preprocessing(input_size) if input_size else self.network.preprocessing
        self.skeleton, self.classes = self.network.skeleton, self.network.classes
        self.keypoint_classes = self.network.keypoint_classes
        if classes is not None:
            self.settings["classes"] = find_labels(classes, self.classes)
        self.keep_images = keep_images
        self.skipped: list[Skipped] = []
        self._tracker: SequenceTracker | None = None
        self._single_calls = 0

    def __call__(
        self,
        source: Any,
        *,
        batch_size: int | None = None,
        skip_unreadable: bool | None = None,
        track: bool | TrackerSettings = False,
        smooth: bool | SmootherSettings = False,
        fps: float = DEFAULT_FPS,
        persist: bool = False,
        score_thr: float | None = None,
        nms_thr: float | None = None,
        max_per_img: int | None = None,
        classes: Sequence[str | int] | None = None,
        size: int | tuple[int, int] | None = None,
        tiles: int | tuple[int, int] | None = None,
        recursive: bool = False,
        vid_stride: int = 1,
    ) -> Iterator[PoseResult]:
        """Detect the poses in images and videos.

        Threads read and letterbox images while the network processes the previous batch.

        Args:
            source: Path of an image, video or folder, a glob pattern, an address (``http``, ``https``, ``rtsp`` …), the index
                of a camera, encoded bytes, an open file, a BGR array, an RGB torch tensor, a PIL image, or a list of these.
                :func:`yolox_pose.io.sources.list_sources` states the layouts of arrays, tensors and batches.
            batch_size: Number of images in a batch. None uses the inferencer's. Cameras and streams always use 1.
            skip_unreadable: Whether to skip files that cannot be read, with a warning and a note in ``skipped``. Otherwise
                they raise an error. None skips if there are several sources.
            track: Whether to assign track ids (``result.track_ids``) that stay the same in all frames. Low-score detections
                that continue a track are then included.
            smooth: Whether to smooth the keypoints of tracked persons over time. Implies ``track``.
            fps: Frames per second of images that are no video, for ``track`` and ``smooth``.
            persist: Whether track ids continue those of the last call with ``persist`` or of :meth:`track`. Otherwise they
                start at 1 in every call and with every video. Implies ``track``.
            score_thr: Lowest score of a person in this call. None uses the inferencer's, here and below.
            nms_thr: IoU above which two boxes are duplicates.
            max_per_img: Maximum number of persons per image.
            classes: Names or labels of the classes to detect.
            size: Height and width of the network's input, or one number for both.
            tiles: Number of rows and columns of tiles, or one number for both; 1 cuts no tiles.
            recursive: Whether folders include their subfolders.
            vid_stride: Process every ``vid_stride``-th frame of a video.

        Returns:
            Iterator over the results, in the order of the images.

        Raises:
            UsageError: If a path does not exist, a folder is empty, or an option is out of range. It is raised before
                anything is computed.
            MissingDependencyError: If persons are tracked and scipy is not installed.
            DataError: If an array has an unsupported layout, which is raised before anything is computed, or an image cannot
                be read, which is raised while iterating.
        """
        # List the sources and check the settings
        sources = list_sources(source, recursive=recursive, vid_stride=vid_stride)
        batch_size = self.batch_size if batch_size is None else _checked_batch_size(batch_size)
        skip = len(sources) > 1 if skip_unreadable is None else skip_unreadable
        settings = self._settings(score_thr, nms_thr, max_per_img, classes)
        plan = self._plan(settings, 1 if any(item.is_live for item in sources) else batch_size, size, tiles)
        self.skipped = []
        if not track and not smooth and not persist:
            return self._stream(sources, skip, plan)

        # Include low-score detections for the tracker
        load_solver()
        by_default = score_thr is None and self._default_score_thr
        score_thr = TrackerSettings().high_score if by_default else float(settings["score_thr"])
        if not isinstance(track, TrackerSettings):
            track = TrackerSettings(high_score=score_thr, low_score=min(MAX_LOW_SCORE, score_thr))
        smoothing = smooth if isinstance(smooth, SmootherSettings) else SmootherSettings() if smooth else None
        settings["score_thr"] = min(track.low_score, score_thr)
        self.network.postprocess_settings(settings)
        results = self._stream(sources, skip, plan)
        if not persist:
            self._warn_of_loop(sources)
            return track_results(results, track, smoothing, fps)

        # Continue the tracks of the last call
        tracker = self._tracker or SequenceTracker(restart=False)
        tracker.settings, tracker.smoothing, tracker.fps = track, smoothing, fps
        self._tracker = tracker
        return (tracker.update(result) for result in results)

    def track(
        self,
        frame: Any,
        *,
        smooth: bool | SmootherSettings = False,
        fps: float = DEFAULT_FPS,
        persist: bool = True,
        settings: TrackerSettings | None = None,
        score_thr: float | None = None,
        nms_thr: float | None = None,
        max_per_img: int | None = None,
        classes: Sequence[str | int] | None = None,
    ) -> PoseResult:
        """Detect and track the persons in the next frame of your own loop. Ids stay the same from call to call.

        The inferencer follows one sequence at a time. For several cameras, give each a
        :class:`yolox_pose.inference.sequence.SequenceTracker`.

        Args:
            frame: Image: a BGR array, a PIL image, a path or an address. For a whole video use ``pose(video, track=True)``.
            smooth: Whether to smooth the keypoints of tracked persons over time.
            fps: Number of calls per second of the sequence.
            persist: Whether to continue the ids of the last call. Otherwise a new sequence starts with this frame.
            settings: Settings of the tracker. None follows the score threshold.
            score_thr: Lowest score of a person who starts a track. None uses the inferencer's, here and below.
            nms_thr: IoU above which two boxes are duplicates.
            max_per_img: Maximum number of persons per image.
            classes: Names or labels of the classes to detect.

        Returns:
            Result of the frame with ``track_ids``. Low-score detections that continue a track are included.

        Raises:
            UsageError: If the source is not a single image, or an option is out of range.
            MissingDependencyError: If scipy is not installed.
            DataError: If the image cannot be read.

        Example:
            >>> while camera.isOpened():
            ...     result = pose.track(camera.read()[1])
            ...     print(result.track_ids)
        """
        sources = list_sources(frame)
        if len(sources) != 1 or sources[0].is_video:
            raise UsageError("track takes one frame per call; for a video or folder use pose(source, track=True)")
        if not persist:
            self.reset_tracks()
        results = self(
            sources,
            track=True if settings is None else settings,
            smooth=smooth,
            fps=fps,
            persist=True,
            score_thr=score_thr,
            nms_thr=nms_thr,
            max_per_img=max_per_img,
            classes=classes,
        )
        return next(results)

    def reset_tracks(self) -> None:
        """Forget the persons of :meth:`track` and ``persist=True``. The next ids start at 1."""
        self._tracker = None

    def _warn_of_loop(self, sources: Sequence[Source]) -> None:
        """Warn once if single images are tracked call by call, where every call starts at id 1."""
        if len(sources) != 1 or sources[0].is_video:
            return
        self._single_calls += 1
        if self._single_calls == 2:
            logger.warning(
                "track=True starts at id 1 in every call; in a loop over frames use pose.track(frame) or persist=True"
            )

    def _settings(
        self,
        score_thr: float | None,
        nms_thr: float | None,
        max_per_img: int | None,
        classes: Sequence[str | int] | None,
    ) -> dict[str, Any]:
        """Return the settings of a call: the inferencer's with those that are not None, all of them checked."""
        overrides = settings_overrides(score_thr=score_thr, nms_thr=nms_thr, max_per_img=max_per_img)
        if classes is not None:
            overrides["classes"] = find_labels(classes, self.classes)
        settings = {**self.settings, **overrides}
        self.network.postprocess_settings(settings)  # refuses settings that are fixed in the model
        return settings

    def _plan(
        self,
        settings: dict[str, Any],
        batch_size: int,
        size: int | tuple[int, int] | None = None,
        tiles: int | tuple[int, int] | None = None,
    ) -> _Plan:
        """Return the checked options of a call; None takes the inferencer's."""
        return _Plan(
            settings,
            self.preprocessing if size is None else self._preprocessing(as_input_size(size)),
            batch_size,
            self.tiles if tiles is None else as_tiles(tiles, self.tile_overlap),
        )

    def _preprocessing(self, size: tuple[int, int]) -> Preprocessing:
        """Return the preprocessing for an input of (H, W) pixels.

        Raises:
            UsageError: If the network takes no input of that size.
        """
        height, width = self.network.check_size(size)
        return self.network.preprocessing._replace(size=(width, height))

    def _stream(self, sources: Sequence[Source], skip: bool, plan: _Plan) -> Iterator[PoseResult]:
        """Yield the results of all sources, reading and beginning batches ahead where that pays off."""
        # Read ahead, except from cameras, whose frames would be late, and for a single image
        live = any(source.is_live for source in sources)
        single = len(sources) == 1 and not sources[0].is_video
        images = self._read(sources, skip, plan, 1 if live or single else NUM_READERS)
        if not single:
            images = prefetch(images, depth=1 if live else 2 * plan.images_per_batch)

        # Begin batches ahead if the network can process several at a time
        batches = iter(lambda: list(islice(images, plan.images_per_batch)), [])
        begun: Iterator[Callable[[], list[PoseResult]]] = (self._begin(batch, plan) for batch in batches)
        if self.network.ahead and not live and not single:
            begun = prefetch(begun, depth=self.network.ahead)
        for finish in begun:
            yield from finish()

    def _read(self, sources: Iterable[Source], skip: bool, plan: _Plan, workers: int = 1) -> Iterator[_Image]:
        """Yield the letterboxed images of the sources."""

        def note(source: Source, error: DataError) -> None:
            self.skipped.append(Skipped(source.path or source.label, str(error)))
            logger.warning("skipped: %s", error)

        return read_frames(sources, note if skip else None, partial(self._fit, plan), workers)

    def _fit(self, plan: _Plan, frame: Frame) -> _Image:
        """Letterbox an image and its tiles, and drop its pixels if they can be read again from the file."""
        start = time.perf_counter()
        fitted = fit_image(frame.pixels, plan.preprocessing)
        grid = () if plan.tiles is None else tile_grid(fitted.letterbox.source, plan.tiles).tolist()
        tiles = tuple(fit_image(frame.pixels[y1:y2, x1:x2], plan.preprocessing) for x1, y1, x2, y2 in grid)
        seconds = time.perf_counter() - start
        if frame.source.path is not None and frame.number is None and not self.keep_images:
            frame = frame._replace(pixels=np.zeros((0, 0, 3), np.uint8))
        return _Image(frame, fitted, seconds, tiles)

    def _begin(self, batch: Sequence[_Image], plan: _Plan) -> Callable[[], list[PoseResult]]:
        """Begin to process a batch, and return a function that returns its results."""
        start = time.perf_counter()
        inputs = [fitted for image in batch for fitted in (image.fitted, *image.tiles)]
        parts = [inputs[i : i + plan.batch_size] for i in range(0, len(inputs), plan.batch_size)]
        computing = [self.network.begin(part, plan.settings) for part in parts]
        begun = time.perf_counter()

        def finish() -> list[PoseResult]:
            resumed = time.perf_counter()
            outputs = iter([found for compute in computing for found in compute()])
            detections = [self._merge(image, list(islice(outputs, 1 + len(image.tiles))), plan) for image in batch]
            end = time.perf_counter()
            seconds = (end - start, 0.0) if self.network.ahead else (begun - start, end - resumed)
            network, postprocess = (1000 * value / len(batch) for value in seconds)
            return [
                self._result(image, found, Timings(1000 * image.seconds, network, postprocess))
                for image, found in zip(batch, detections)
            ]

        return finish

    def _merge(self, image: _Image, detections: list[Detections], plan: _Plan) -> Detections:
        """Merge the detections of an image and of its tiles."""
        if plan.tiles is None:
            return detections[0]
        size = image.fitted.letterbox.source
        settings = self.network.postprocess_settings(plan.settings)
        sigmas = np.asarray(() if self.skeleton is None else self.skeleton.sigmas)
        return merge_tiles(detections[0], detections[1:], tile_grid(size, plan.tiles), size, settings, sigmas)

    def _result(self, image: _Image, detections: Detections, timings: Timings) -> PoseResult:
        frame, source = image.frame, image.frame.source
        return PoseResult(
            **detections._asdict(),
            skeleton=self.skeleton,
            classes=self.classes,
            keypoint_classes=self.keypoint_classes,
            path=source.path,
            name=source.name,
            frame=frame.number,
            time=frame.time,
            fps=frame.fps,
            size=image.fitted.letterbox.source,
            source=source,
            held_image=frame.pixels if len(frame.pixels) else None,
            timings=timings,
        )


def as_input_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return (H, W) of an input size, which may be one number for both.

    Raises:
        UsageError: If a side is no multiple of 32.
    """
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or any(side < SIZE_DIVISOR or side % SIZE_DIVISOR for side in sides):
        given = "x".join(map(str, sides))
        near = "x".join(str(max(SIZE_DIVISOR, round(side / SIZE_DIVISOR) * SIZE_DIVISOR)) for side in sides[:2])
        raise UsageError(f"size must be height and width in multiples of {SIZE_DIVISOR}, such as {near}, not {given}")
    return sides[0], sides[1]


def is_exported(config: Any) -> TypeGuard[str | os.PathLike[str]]:
    """Return whether a path names an exported model rather than a config."""
    return isinstance(config, (str, os.PathLike)) and Path(config).suffix in MODEL_SUFFIXES


def _choose_model(
    config: str | os.PathLike[str] | Config | None,
    checkpoint: str | os.PathLike[str] | None,
    backend: str | None,
    weights: str | None,
) -> tuple[str | os.PathLike[str] | Config, str | os.PathLike[str] | None]:
    """Return config and checkpoint of a model in PyTorch, or the exported file of the bundled model and None.

    Raises:
        UsageError: If no weights are given or implied, and random ones are not asked for.
    """
    from yolox_pose.weights import BUNDLED_NAME, find_bundled, find_model, names_weights  # imports HTTP

    if weights is not None:
        if weights != "random" or config is None or checkpoint is not None:
            raise UsageError(f"weights={weights!r}: only 'random' is possible, with a config and without a checkpoint")
        return config, None
    if config in (None, BUNDLED_NAME) and checkpoint in (None, BUNDLED_NAME):
        return find_bundled(backend)
    if config is None:
        assert checkpoint is not None
        return find_model(None, checkpoint)
    if checkpoint is None and not names_weights(config):
        raise UsageError(
            f"config {getattr(config, 'filename', config)} has no weights; pass a checkpoint too, or weights='random'"
        )
    return config, checkpoint


def _load_torch_network(
    config: str | os.PathLike[str] | Config,
    checkpoint: str | os.PathLike[str] | None,
    device: str | torch.device,
    half: bool,
) -> Network:
    """Load a network in PyTorch.

    Raises:
        MissingDependencyError: If PyTorch or a package of OpenMMLab is not installed.
    """
    require_torch_stack()
    from yolox_pose.inference.torch_network import TorchNetwork

    return TorchNetwork(config, checkpoint, device, half=half)


def find_labels(selected: Sequence[str | int], classes: Sequence[str]) -> tuple[int, ...]:
    """Return the labels of classes given by name or label.

    Args:
        selected: Names or labels.
        classes: Class names in label order.

    Raises:
        UsageError: If a class does not exist, or none is given.
    """
    labels = []
    for item in selected:
        if isinstance(item, str) and item in classes:
            labels.append(classes.index(item))
        elif str(item).isdigit() and int(item) < len(classes):
            labels.append(int(item))
        else:
            raise UsageError(f"the model has no class {item!r}; its {len(classes)} classes are {', '.join(classes)}")
    if not labels:
        raise UsageError("classes is empty; name at least one class")
    return tuple(sorted(set(labels)))


def _checked_batch_size(batch_size: int) -> int:
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1, not {batch_size}")
    return batch_size
