"""Interface between the inferencer and the networks that it runs, in PyTorch or exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from yolox_pose.geometry.letterbox import Fitted, Preprocessing
from yolox_pose.structures.detections import Detections
from yolox_pose.structures.settings import PostprocessSettings
from yolox_pose.structures.skeleton import Skeleton


class Network(Protocol):
    """Network that detects persons in letterboxed images.

    It is a :class:`yolox_pose.inference.torch_network.TorchNetwork` or a
    :class:`yolox_pose.inference.exported.network.ExportedNetwork`.

    Attributes:
        preprocessing: How images become the input of the network.
        skeleton: Skeleton of the keypoints. None for plain detection.
        classes: Class names in label order.
        keypoint_classes: Labels of the classes that have keypoints.
        ahead: Number of batches to begin, in a thread, before the previous one is finished.
    """

    preprocessing: Preprocessing
    skeleton: Skeleton | None
    classes: tuple[str, ...]
    keypoint_classes: tuple[int, ...]
    ahead: int

    def postprocess_settings(self, overrides: Mapping[str, Any]) -> PostprocessSettings:
        """Return the settings of the model with overrides, all of them checked.

        Args:
            overrides: Fields of :class:`yolox_pose.structures.settings.PostprocessSettings`.

        Raises:
            UsageError: If a value is out of range or fixed in the model.
        """

    def check_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return a size (H, W) of the input if the network takes it.

        Raises:
            UsageError: If it does not.
        """

    def begin(
        self, batch: Sequence[Fitted], settings: Mapping[str, Any] | None = None
    ) -> Callable[[], list[Detections]]:
        """Begin to process a batch.

        Args:
            batch: Letterboxed images of one size.
            settings: Fields of :class:`yolox_pose.structures.settings.PostprocessSettings` that differ from the model's.

        Returns:
            Function that returns the detections of each image, in pixels of the source images.
        """
