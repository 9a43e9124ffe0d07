"""An exported network behind the same interface as the one in PyTorch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from yolox_pose.errors import UsageError
from yolox_pose.geometry.boxes import grid_priors
from yolox_pose.geometry.letterbox import Fitted, Preprocessing
from yolox_pose.inference.exported.backends import Backend, choose_backend, open_backend
from yolox_pose.inference.exported.decoding import detections
from yolox_pose.inference.exported.description import ModelDescription, read_description
from yolox_pose.structures.constants import SIZE_DIVISOR
from yolox_pose.structures.detections import Detections
from yolox_pose.structures.settings import PostprocessSettings


class ExportedNetwork:
    """Detections of letterboxed images by an exported model.

    Args:
        description: Of the model.
        backend: The loaded model.
        size: (H, W) of its input.

    Attributes:
        preprocessing: How images become its input.
        skeleton: Of the keypoints; None for plain detection.
        classes: Class names in label order.
        keypoint_classes: Labels of the classes that have keypoints.
    """

    ahead = 0
    """Nothing is gained by beginning early: the runtimes compute while they are waited for."""

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
        self._priors = grid_priors((height, width), description.strides)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        backend: str | None = None,
        size: tuple[int, int] | None = None,
        threads: int | None = None,
    ) -> ExportedNetwork:
        """Load a model that ``tools/export.py`` wrote; nothing in its files is executed.

        Args:
            path: ``.onnx``, ``.xml`` or ``.param``, with ``model.json`` beside it.
            backend: A key of :data:`yolox_pose.inference.exported.backends.BACKENDS`; None chooses by the ending.
            size: (H, W) of the input of a model with a dynamic size.
            threads: Threads of a call; None leaves it to the runtime.

        Raises:
            UsageError: If the file is not there or an option does not fit the model.
            DataError: If the description is missing or of another model, or the file cannot be loaded.
            MissingDependencyError: If the runtime is not installed.
        """
        file = Path(path)
        if not file.is_file():
            raise UsageError(f"model {file} does not exist" if not file.exists() else f"model {file} is not a file")
        name = choose_backend(file, backend)
        description = read_description(file)
        chosen = _checked_size(size, description)
        return cls(description, open_backend(name, file, description, chosen, threads), chosen)

    def begin(
        self, batch: Sequence[Fitted], settings: Mapping[str, Any] | None = None
    ) -> Callable[[], list[Detections]]:
        """Check a batch; what is returned computes its detections in pixels of the source images, boxes cut to them.

        Args:
            batch: Images in canvases of the size of the model's input.
            settings: Fields of :class:`PostprocessSettings` that differ from the description's; what else PyTorch's networks take
                is refused where it would change the result.

        Raises:
            UsageError: If a canvas has another size, or a setting does not go with a graph that holds NMS.
        """
        expected = (*self.preprocessing.size[::-1], 3)
        wrong = [image.canvas.shape for image in batch if image.canvas.shape != expected]
        if wrong:
            raise UsageError(f"the model takes images of shape {expected}, not {wrong[0]}")
        return partial(self._detect, batch, self.postprocess_settings(settings or {}))

    def _detect(self, batch: Sequence[Fitted], settings: PostprocessSettings) -> list[Detections]:
        found: list[Detections] = []
        step = self.description.batch or len(batch)
        for start in range(0, len(batch), step):
            part = batch[start : start + step]
            outputs = self.backend(_stack([image.canvas for image in part], step))
            for row, image in enumerate(part):
                one = detections(outputs, row, self._priors, self.description, settings)
                found.append(image.letterbox.inverse_detections(one))
        return found

    def postprocess_settings(self, overrides: Mapping[str, Any]) -> PostprocessSettings:
        """Return the settings of the description with overrides.

        Args:
            overrides: Fields of :class:`PostprocessSettings`.

        Raises:
            UsageError: If a value is out of range, or the exported graph does not support it.
        """
        default = self.description.postprocess
        for name, supported in (("nms_type", "box"), ("soft_nms", "none")):
            if overrides.get(name, supported) != supported:
                raise UsageError(
                    f"exported models suppress by boxes alone: {name} '{overrides[name]}' needs the config"
                )
        settings = default.override(overrides)
        if self.description.layout != "nms":
            return settings
        if settings.nms_thr != default.nms_thr:
            raise UsageError(
                f"NMS with threshold {default.nms_thr} is inside this model; for others export it with --decode"
            )
        if settings.score_thr < default.score_thr:
            raise UsageError(f"the smallest score inside this model is {default.score_thr}, not {settings.score_thr}")
        if settings.max_per_img > default.max_per_img:
            raise UsageError(f"this model finds at most {default.max_per_img} an image, not {settings.max_per_img}")
        return settings


def _stack(canvases: Sequence[np.ndarray], count: int) -> np.ndarray:
    """(count, 3, H, W) float32 batch; missing images are black."""
    batch = np.zeros((count, 3, *canvases[0].shape[:2]), np.float32)
    for row, canvas in zip(batch, canvases):
        row[...] = canvas.transpose(2, 0, 1)
    return batch


def _checked_size(size: tuple[int, int] | None, description: ModelDescription) -> tuple[int, int]:
    """The (H, W) that is used.

    Raises:
        UsageError: If the model does not take it.
    """
    if size is None or tuple(size) == description.size:
        return description.size
    height, width = size
    if not description.dynamic:
        own = "x".join(map(str, description.size))
        raise UsageError(
            f"this model takes {own} px (height x width) alone; export it with --dynamic for {height}x{width}"
        )
    if height < SIZE_DIVISOR or width < SIZE_DIVISOR or height % SIZE_DIVISOR or width % SIZE_DIVISOR:
        raise UsageError(f"height and width must be multiples of {SIZE_DIVISOR}, not {height}x{width}")
    return height, width
