"""The network in PyTorch, as :class:`yolox_pose.inference.inferencer.PoseInferencer` calls it."""

from __future__ import annotations

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
from yolox_pose.ops import HeadOutputs
from yolox_pose.structures.detections import Detections
from yolox_pose.structures.settings import PostprocessSettings

from mmcv.cnn import fuse_conv_bn  # isort: skip  (after the registry, which fills gaps of the stack)
from mmengine.config import Config  # isort: skip

HALF_TYPES = {"cuda": torch.float16, "mps": torch.float16, "cpu": torch.bfloat16}
"""Half precision of each kind of device: CPUs compute in bfloat16, if at all."""


class _Raw(NamedTuple):
    """Outputs of the network, which a GPU may still be at.

    Attributes:
        predictions: Of the head.
        priors: (N, 3).
        finished: What tells that they are there; None where they are already.
    """

    predictions: HeadOutputs
    priors: Tensor
    finished: Any = None


class TorchNetwork:
    """Detections of letterboxed images by a model in PyTorch.

    Args:
        config: See :func:`yolox_pose.models.loading.load_model`.
        checkpoint: Likewise.
        device: Likewise.
        half: Compute the network in half precision: float16 on a GPU, bfloat16 on a CPU.

    Attributes:
        model: The model.
        test_cfg: Of the config.
        preprocessing: How images become its input.
        skeleton: Of the keypoints; None for plain detection.
        classes: Class names in label order.
        keypoint_classes: Labels of the classes that have keypoints.
        ahead: Batches that are worth beginning, in a thread, before the one before is finished: a GPU is at one while the host
            is at the detections of the other.
    """

    def __init__(
        self,
        config: str | os.PathLike[str] | Config,
        checkpoint: str | os.PathLike[str] | None = None,
        device: str | torch.device = "auto",
        *,
        half: bool = False,
    ) -> None:
        model: Any = fuse_conv_bn(load_model(config, checkpoint, device))
        self.device = next(model.parameters()).device
        self.dtype = HALF_TYPES[self.device.type] if half else torch.float32
        self.model = model.to(dtype=self.dtype, memory_format=torch.channels_last)
        self.test_cfg = dict(model.test_cfg or {})
        self.preprocessing = find_preprocessing(model.cfg, model.dataset_meta)
        self.skeleton = find_skeleton(model)
        self.classes = find_classes(model)
        self.keypoint_classes: tuple[int, ...] = model.head.keypoint_classes
        self.ahead = int(self.device.type == "cuda")
        self._copying, self._choosing = (torch.cuda.Stream(self.device) if self.ahead else None for _ in range(2))

    def begin(
        self, batch: Sequence[Fitted], settings: Mapping[str, Any] | None = None
    ) -> Callable[[], list[Detections]]:
        """Begin with a batch; what is returned gives its detections in pixels of the source images, boxes cut to them.

        A GPU is only told what to do, and not waited for until the detections are asked for.

        Args:
            batch: Images in canvases of one size.
            settings: Entries of the model's ``test_cfg`` that differ from the config's.
        """
        chosen = as_postprocess_settings({**self.test_cfg, **(settings or {})})
        raw = self._forward([image.canvas for image in batch])
        return partial(self._finish, raw, [image.letterbox for image in batch], chosen)

    @torch.inference_mode()
    def _forward(self, canvases: Sequence[np.ndarray]) -> _Raw:
        data = self.model.data_preprocessor({"inputs": self._on_device(canvases).permute(0, 3, 1, 2)})  # channels-last
        features = self.model.extract_feat(data["inputs"].to(self.dtype))
        raw = _Raw(self.model.head(features), self.model.head.priors(features))
        if self._choosing is None:
            return raw
        return raw._replace(finished=torch.cuda.current_stream(self.device).record_event())

    def _on_device(self, canvases: Sequence[np.ndarray]) -> Tensor:
        """(B, H, W, 3) uint8; a GPU fetches them while it is still at the batch before."""
        if self._copying is None:
            return torch.from_numpy(np.stack(canvases)).to(self.device)
        pinned = torch.empty((len(canvases), *canvases[0].shape), dtype=torch.uint8, pin_memory=True)
        np.stack(canvases, out=pinned.numpy())
        with torch.cuda.stream(self._copying):
            inputs = pinned.to(self.device, non_blocking=True)
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(self._copying)
        inputs.record_stream(current)
        return inputs

    @torch.inference_mode()
    def _finish(self, raw: _Raw, letterboxes: Sequence[Letterbox], settings: PostprocessSettings) -> list[Detections]:
        """Detections, chosen beside the batch that came after, if there is one."""
        head = self.model.head
        with torch.cuda.stream(self._choosing):  # None: where we are
            if self._choosing is not None:
                self._choosing.wait_event(raw.finished)
            found = detect(raw.predictions, raw.priors, settings, head.has_keypoints, head.sigmas)
        arrays = ((None if values is None else values.numpy() for values in one) for one in found)
        return [letterbox.inverse_detections(Detections.create(*one)) for one, letterbox in zip(arrays, letterboxes)]
