"""PyTorch network for :class:`yolox_pose.inference.inferencer.PoseInferencer`.

On a GPU a batch is begun and finished separately, in streams: while the GPU runs batch i + 1, batch i is postprocessed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from yolox_pose.checkpoints.model_info import find_classes, find_preprocessing, find_skeleton
from yolox_pose.geometry.letterbox import Fitted, Letterbox
from yolox_pose.models.head import as_postprocess_settings
from yolox_pose.models.loading import load_model
from yolox_pose.models.postprocess import detect
from yolox_pose.ops import DetectionTensors, HeadOutputs
from yolox_pose.ops.threads import torch_threads
from yolox_pose.structures.detections import Detections
from yolox_pose.structures.settings import PostprocessSettings

from mmcv.cnn import fuse_conv_bn  # isort: skip  (after the registry, which fills gaps of the stack)
from mmengine.config import Config  # isort: skip

logger = logging.getLogger(__name__)

HALF_TYPES = {"cuda": torch.float16, "mps": torch.float16, "cpu": torch.bfloat16}
"""Half-precision type of each kind of device. CPUs compute in bfloat16, if at all."""


class _Raw(NamedTuple):
    """Outputs of the network, which a GPU may still be computing.

    Attributes:
        predictions: Outputs of the head.
        priors: Priors of shape (N, 3).
        finished: CUDA event that marks the end of the computation. None if the outputs are ready.
    """

    predictions: HeadOutputs
    priors: Tensor
    finished: torch.cuda.Event | None = None


class TorchNetwork:
    """Network in PyTorch that detects persons in letterboxed images.

    Args:
        config: Config of the model; see :func:`yolox_pose.models.loading.load_model`.
        checkpoint: Weights of the model. None leaves them random.
        device: Device, such as ``auto``, ``cpu`` or ``cuda:0``.
        half: Whether to compute in half precision: float16 on a GPU, bfloat16 on a CPU.

    Attributes:
        model: Model with batch norms folded into convolutions.
        test_cfg: ``test_cfg`` of the config.
        preprocessing: How images become the input of the network.
        skeleton: Skeleton of the keypoints. None for plain detection.
        classes: Class names in label order.
        keypoint_classes: Labels of the classes that have keypoints.
        ahead: Number of batches to begin, in a thread, before the previous one is finished: 1 on a GPU, otherwise 0.
    """

    def __init__(
        self,
        config: str | os.PathLike[str] | Config,
        checkpoint: str | os.PathLike[str] | None = None,
        device: str | torch.device = "auto",
        *,
        half: bool = False,
    ) -> None:
        # Load the model
        model: Any = fuse_conv_bn(load_model(config, checkpoint, device))
        self.device: torch.device = next(model.parameters()).device
        self.dtype = HALF_TYPES[self.device.type] if half else torch.float32
        self.model = model.to(dtype=self.dtype, memory_format=torch.channels_last)

        # Read its description
        self.test_cfg = dict(model.test_cfg or {})
        self.preprocessing = find_preprocessing(model.cfg, model.dataset_meta)
        self.skeleton = find_skeleton(model)
        self.classes = find_classes(model)
        self.keypoint_classes: tuple[int, ...] = model.head.keypoint_classes
        self.threads = torch_threads() if self.device.type == "cpu" else None

        # Create the streams of a GPU
        self.ahead = int(self.device.type == "cuda")
        self._copy_stream, self._detect_stream = (
            torch.cuda.Stream(self.device) if self.ahead else None for _ in range(2)
        )

    def check_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return a size (H, W): the network takes all multiples of 32."""
        return size

    def postprocess_settings(self, overrides: Mapping[str, Any]) -> PostprocessSettings:
        """Return the settings of the config with overrides.

        Args:
            overrides: Entries of ``test_cfg`` that differ from the config's.

        Raises:
            UsageError: If a setting is unknown or out of range.
        """
        return as_postprocess_settings({**self.test_cfg, **overrides})

    def begin(
        self, batch: Sequence[Fitted], settings: Mapping[str, Any] | None = None
    ) -> Callable[[], list[Detections]]:
        """Begin to process a batch. A GPU gets its work without being waited for.

        Args:
            batch: Letterboxed images of one size.
            settings: Entries of ``test_cfg`` that differ from the config's.

        Returns:
            Function that returns the detections of each image, in pixels of the source images, with boxes clipped to them.

        Raises:
            UsageError: If a setting is unknown or out of range.
        """
        merged = self.postprocess_settings(settings or {})
        raw = self._forward([image.canvas for image in batch])
        return partial(self._finish, raw, [image.letterbox for image in batch], merged)

    @torch.inference_mode()
    def _forward(self, canvases: Sequence[np.ndarray]) -> _Raw:
        """Run the network on images of shape (H, W, 3), uint8 BGR."""
        self._check_threads()
        images = self._to_device(canvases).permute(0, 3, 1, 2)  # keeps the memory channels-last
        data = self.model.data_preprocessor({"inputs": images})
        features = self.model.extract_feat(data["inputs"].to(self.dtype))
        self._check_threads()
        raw = _Raw(self.model.head(features), self.model.head.priors(features))
        if self._detect_stream is None:
            return raw
        return raw._replace(finished=torch.cuda.current_stream(self.device).record_event())

    def _check_threads(self) -> None:
        """Use fewer threads while other processes use the cores."""
        if self.threads is not None and (message := self.threads.check()):
            logger.warning(message)

    def _to_device(self, canvases: Sequence[np.ndarray]) -> Tensor:
        """Copy images to the device, (B, H, W, 3) uint8. A GPU copies them while it computes the previous batch."""
        if self._copy_stream is None:
            return torch.from_numpy(np.stack(canvases)).to(self.device)

        # Copy from pinned memory in a stream of its own
        pinned = torch.empty((len(canvases), *canvases[0].shape), dtype=torch.uint8, pin_memory=True)
        np.stack(canvases, out=pinned.numpy())
        with torch.cuda.stream(self._copy_stream):
            images = pinned.to(self.device, non_blocking=True)

        # Let the computation wait for the copy, and keep the memory until it is used
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(self._copy_stream)
        images.record_stream(current)
        return images

    @torch.inference_mode()
    def _finish(self, raw: _Raw, letterboxes: Sequence[Letterbox], settings: PostprocessSettings) -> list[Detections]:
        """Postprocess a batch. On a GPU this happens beside the computation of the next batch."""
        self._check_threads()
        head = self.model.head
        with torch.cuda.stream(self._detect_stream):  # does nothing for None
            if self._detect_stream is not None and raw.finished is not None:
                self._detect_stream.wait_event(raw.finished)
            images = detect(raw.predictions, raw.priors, settings, head.has_keypoints, head.sigmas)
        return [letterbox.inverse_detections(_to_numpy(image)) for image, letterbox in zip(images, letterboxes)]


def _to_numpy(detections: DetectionTensors) -> Detections:
    """Convert the detections of an image to numpy."""
    keypoints, keypoint_scores = detections.keypoints, detections.keypoint_scores
    return Detections.create(
        detections.boxes.numpy(),
        detections.scores.numpy(),
        detections.labels.numpy(),
        None if keypoints is None else keypoints.numpy(),
        None if keypoint_scores is None else keypoint_scores.numpy(),
    )
