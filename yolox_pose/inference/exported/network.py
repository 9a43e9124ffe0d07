"""Exported networks behind the interface of :class:`yolox_pose.inference.torch_network.TorchNetwork`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from yolox_pose.errors import UsageError
from yolox_pose.geometry.boxes import grid_priors
from yolox_pose.geometry.letterbox import Fitted, Preprocessing
from yolox_pose.inference.exported.backends import Backend, choose_backend, open_backend
from yolox_pose.inference.exported.decoding import detect
from yolox_pose.inference.exported.description import ModelDescription, read_description
from yolox_pose.structures.constants import SIZE_DIVISOR
from yolox_pose.structures.detections import Detections
from yolox_pose.structures.settings import PostprocessSettings


class ExportedNetwork:
    """Network that detects people in letterboxed images with an exported model.

    Args:
        description: Description of the model.
        backend: The loaded model.
        size: Height and width of its input; None takes those of the description.

    Attributes:
        preprocessing: Preprocessing of the images.
        skeleton: Skeleton of the keypoints; None for plain detection.
        classes: Class names in label order.
        keypoint_classes: Labels of the classes with keypoints.
        fixed_size: Whether the backend takes the size of ``preprocessing`` only, although the model takes others.
    """

    ahead = 0
    """Number of batches to begin early: none, since the runtimes compute only while they are waited for."""

    def __init__(
        self,
        description: ModelDescription,
        backend: Backend,
        size: tuple[int, int] | None = None,
    ) -> None:
        self.description, self.backend = description, backend
        height, width = size or description.size
        self.preprocessing = Preprocessing((width, height), description.centered, description.pad_value)
        self.skeleton, self.classes = description.skeleton, description.classes
        self.keypoint_classes = description.keypoint_classes
        self.fixed_size = False

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        backend: str | None = None,
        size: tuple[int, int] | None = None,
        threads: int | None = None,
    ) -> ExportedNetwork:
        """Load a model written by ``tools/export.py``. No code in its files is executed.

        Args:
            path: Model file, ``.onnx``, ``.xml`` or ``.param``, with ``model.json`` beside it.
            backend: Key of :data:`yolox_pose.inference.exported.backends.BACKENDS`; None chooses by the file ending.
            size: Height and width of the input, for models with a dynamic size.
            threads: Number of threads; None leaves it to the runtime.

        Raises:
            UsageError: If the file does not exist or an option does not fit the model.
            DataError: If the description is missing or belongs to another model, or the file cannot be loaded.
            MissingDependencyError: If the runtime is not installed.
        """
        file = Path(path)
        if not file.is_file():
            raise UsageError(f"model {file} does not exist" if not file.exists() else f"model {file} is not a file")
        name = choose_backend(file, backend)
        description = read_description(file)
        input_size = check_size(size, description)
        network = cls(description, open_backend(name, file, description, input_size, threads), input_size)
        network.fixed_size = name == "openvino"  # which is faster with a known size
        return network

    def check_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return a size (H, W) of the input if the network takes it.

        Raises:
            UsageError: If it does not.
        """
        own = self.preprocessing.size[::-1]
        if self.fixed_size and size != own:
            raise UsageError(
                f"OpenVINO has loaded this model for {own[0]}x{own[1]} px; pass size= when the model is loaded"
            )
        return check_size(size, self.description)

    def begin(
        self, batch: Sequence[Fitted], settings: Mapping[str, Any] | None = None
    ) -> Callable[[], list[Detections]]:
        """Run the network on a batch, in parts of the batch size that it takes.

        Args:
            batch: Letterboxed images of one size.
            settings: Fields of :class:`PostprocessSettings` that override the description's.

        Returns:
            Function that returns the detections of each image in pixels of the source image.

        Raises:
            UsageError: If an image has another size, or a setting does not fit the model.
        """
        height, width = (*self.preprocessing.size[::-1],) if not batch else batch[0].canvas.shape[:2]
        wrong = [image.canvas.shape for image in batch if image.canvas.shape != (height, width, 3)]
        if wrong:
            raise UsageError(f"the images of a batch have one size, not {(height, width, 3)} and {wrong[0]}")
        self.check_size((height, width))
        merged = self.postprocess_settings(settings or {})
        step = self.description.batch or len(batch)
        parts = [batch[start : start + step] for start in range(0, len(batch), step)]
        outputs = [self.backend(_stack([image.canvas for image in part], step)) for part in parts]
        return partial(self._finish, parts, outputs, merged)

    def _finish(
        self,
        parts: Sequence[Sequence[Fitted]],
        outputs: Sequence[Mapping[str, np.ndarray]],
        settings: PostprocessSettings,
    ) -> list[Detections]:
        """Postprocess each image of the parts."""
        results: list[Detections] = []
        for part, values in zip(parts, outputs):
            for row, image in enumerate(part):
                priors = _priors(image.canvas.shape[:2], self.description.strides)
                detections = detect(values, row, priors, self.description, settings)
                results.append(image.letterbox.inverse_detections(detections))
        return results

    def postprocess_settings(self, overrides: Mapping[str, Any]) -> PostprocessSettings:
        """Return the settings of the description with overrides.

        Args:
            overrides: Fields of :class:`PostprocessSettings`.

        Raises:
            UsageError: If a value is out of range, or NMS is part of the model's graph and cannot be changed like that.
        """
        default = self.description.postprocess
        settings = default.override(overrides)
        if self.description.layout != "nms":
            return settings
        for name in ("nms_type", "soft_nms", "nms_thr"):
            if getattr(settings, name) != getattr(default, name):
                raise UsageError(
                    f"NMS with {name} {getattr(default, name)} is part of this model; "
                    f"to use {getattr(settings, name)}, export it with --decode"
                )
        if settings.score_thr < default.score_thr:
            raise UsageError(f"the lowest score_thr of this model is {default.score_thr}, not {settings.score_thr}")
        if settings.max_per_img > default.max_per_img:
            raise UsageError(
                f"the highest max_per_img of this model is {default.max_per_img}, not {settings.max_per_img}"
            )
        return settings


@lru_cache(maxsize=8)
def _priors(size: tuple[int, int], strides: tuple[int, ...]) -> np.ndarray:
    """Return the priors of an input of (H, W) pixels, (N, 3)."""
    return grid_priors(size, strides)


def _stack(canvases: Sequence[np.ndarray], count: int) -> np.ndarray:
    """Stack images to a batch of shape (count, 3, H, W), float32; missing images are black."""
    batch = np.zeros((count, 3, *canvases[0].shape[:2]), np.float32)
    for row, canvas in zip(batch, canvases):
        row[...] = canvas.transpose(2, 0, 1)
    return batch


def check_size(size: tuple[int, int] | None, description: ModelDescription) -> tuple[int, int]:
    """Return the height and width of the input, the description's if ``size`` is None.

    Raises:
        UsageError: If the model does not take that size.
    """
    if size is None or tuple(size) == description.size:
        return description.size
    height, width = size
    if not description.dynamic:
        fixed = "x".join(map(str, description.size))
        raise UsageError(
            f"this model takes images of {fixed} px (height x width) only; export it with --dynamic for {height}x{width}"
        )
    if height < SIZE_DIVISOR or width < SIZE_DIVISOR or height % SIZE_DIVISOR or width % SIZE_DIVISOR:
        raise UsageError(f"height and width must be multiples of {SIZE_DIVISOR}, not {height}x{width}")
    return height, width
