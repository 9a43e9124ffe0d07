"""Batches for the network: stacking, moving to the device and, in training, random resizing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from mmengine.model import BaseDataPreprocessor
from mmpose.structures import PoseDataSample
from torch import Tensor

from yolox_pose.registry import MODELS
from yolox_pose.structures.constants import PAD_VALUE, SIZE_DIVISOR
from yolox_pose.structures.phase import TrainingPhase


def random_batch_size(
    seed: int, iteration: int, size_range: tuple[int, int], divisor: int = SIZE_DIVISOR, interval: int = 1
) -> int:
    """Draw the side length of a batch in pixels, a pure function of the arguments.

    Args:
        seed: Seed of the training.
        iteration: Training iteration, counted from 0.
        size_range: Smallest and largest side in pixels, both included.
        divisor: Number of pixels that the side is a multiple of.
        interval: Number of iterations between two draws.
    """
    low, high = math.ceil(size_range[0] / divisor), size_range[1] // divisor
    rng = np.random.default_rng((seed, iteration // interval))
    return int(rng.integers(low, high + 1)) * divisor


def stack_images(images: Sequence[Tensor], divisor: int) -> Tensor:
    """Stack (3, H, W) images, padded at the right and bottom to the largest size and a multiple of ``divisor``."""
    height = math.ceil(max(image.shape[1] for image in images) / divisor) * divisor
    width = math.ceil(max(image.shape[2] for image in images) / divisor) * divisor
    if all(image.shape[1:] == (height, width) for image in images):
        return torch.stack(list(images))
    batch = images[0].new_full((len(images), images[0].shape[0], height, width), PAD_VALUE)
    for target, image in zip(batch, images):
        target[:, : image.shape[1], : image.shape[2]] = image
    return batch


def resize_batch(inputs: Tensor, data_samples: Sequence[PoseDataSample], size: tuple[int, int]) -> Tensor:
    """Resize a float batch to ``size`` (height, width) and scale the annotations of its samples in place."""
    height, width = inputs.shape[-2:]
    if (height, width) == tuple(size):
        return inputs
    sy, sx = size[0] / height, size[1] / width
    for sample in data_samples:
        labels = sample.gt_instance_labels
        labels.bboxes = labels.bboxes * labels.bboxes.new_tensor([sx, sy, sx, sy])
        if "keypoints" in labels:
            labels.keypoints = labels.keypoints * labels.keypoints.new_tensor([sx, sy])
        if "areas" in labels:
            labels.areas = labels.areas * (sx * sy)
    return F.interpolate(inputs, size=size, mode="bilinear", align_corners=False)


@MODELS.register_module()
class YOLOXPoseDataPreprocessor(BaseDataPreprocessor):
    """Batches of BGR images, 0 to 255, float32, by default without normalization, as the published weights expect.

    The pipelines produce BGR images. Padding comes before channel order and normalization.

    Args:
        size_divisor: Number of pixels that height and width of a batch are multiples of.
        random_size: Smallest and largest side of the training batches; None keeps the size of the pipeline. The shorter
            side of non-square batches is scaled with the longer one, to a multiple of ``size_divisor``.
        random_size_interval: Number of iterations between two sizes.
        channels_last: Whether batches use the channels-last memory format, which is faster on CPU and with tensor cores.
        bgr_to_rgb: Whether the network expects RGB.
        mean: Value subtracted from each channel, in the channel order of the network.
        std: Divisor of each channel, in the channel order of the network.
        non_blocking: Whether copies to the device are asynchronous.

    Attributes:
        phase: Training phase; its owner is the training-phase hook.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        size_divisor: int = SIZE_DIVISOR,
        random_size: tuple[int, int] | None = None,
        random_size_interval: int = 1,
        channels_last: bool = True,
        bgr_to_rgb: bool = False,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        non_blocking: bool = True,
    ) -> None:
        super().__init__(non_blocking)
        self.size_divisor, self.random_size = size_divisor, random_size
        self.random_size_interval, self.channels_last = random_size_interval, channels_last
        self.phase = TrainingPhase()
        self.register_buffer("mean", torch.zeros(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.ones(1, 3, 1, 1), persistent=False)
        self.set_normalization(bgr_to_rgb, mean, std)

    def set_normalization(
        self, bgr_to_rgb: bool = False, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
    ) -> None:
        """Set channel order, mean and standard deviation; see the arguments of the class."""
        self.bgr_to_rgb = bgr_to_rgb
        self.normalizes = mean is not None or std is not None
        self.mean.copy_(torch.tensor([0.0] * 3 if mean is None else list(mean)).view(1, 3, 1, 1))
        self.std.copy_(torch.tensor([1.0] * 3 if std is None else list(std)).view(1, 3, 1, 1))

    @property
    def normalization(self) -> dict[str, Any]:
        """``bgr_to_rgb``, ``mean`` and ``std`` as plain values; mean and std are None without normalization."""
        values = {"mean": self.mean.flatten().tolist(), "std": self.std.flatten().tolist()}
        return {"bgr_to_rgb": self.bgr_to_rgb, **(values if self.normalizes else dict.fromkeys(values))}

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Make the batch of the network.

        Args:
            data: ``inputs``, (3, H, W) uint8 images as a list or one (B, 3, H, W) tensor, and ``data_samples``.
            training: Whether batches are resized at random.

        Returns:
            ``inputs``, (B, 3, H, W) float32 on the device, and ``data_samples``. Annotations stay on their device; the head
            moves them with a few copies for the whole batch.
        """
        # Stack and move to the device
        images, samples = data["inputs"], data.get("data_samples")
        inputs = images if isinstance(images, Tensor) else stack_images(images, self.size_divisor)
        inputs = self.cast_data(inputs)

        # Channel order, float and normalization
        if self.bgr_to_rgb:
            inputs = inputs.flip(1)
        memory_format = torch.channels_last if self.channels_last else torch.contiguous_format
        inputs = inputs.float().contiguous(memory_format=memory_format)
        if self.normalizes:
            inputs = (inputs - self.mean) / self.std

        # Multi-scale training
        if training and self.random_size is not None and not self.phase.full_size:
            inputs = resize_batch(inputs, samples or (), self._training_size(*inputs.shape[-2:]))
        return {"inputs": inputs, "data_samples": samples}

    def _training_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the random (height, width) of the current iteration; the longer side is drawn."""
        assert self.random_size is not None
        iteration = int(MessageHub.get_current_instance().get_info("iter") or 0)
        smallest, largest = self.random_size
        longer = random_batch_size(
            self.phase.seed, iteration, (smallest, largest), self.size_divisor, self.random_size_interval
        )
        scale = longer / max(height, width)

        def scaled(side: int) -> int:
            return max(1, round(side * scale / self.size_divisor)) * self.size_divisor

        return scaled(height), scaled(width)
