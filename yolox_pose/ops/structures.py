"""Tensors that travel between the head, the assigner, the losses and NMS (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from yolox_pose.ops.boxes import decode_boxes
from yolox_pose.ops.keypoints import decode_keypoints


class HeadOutputs(NamedTuple):
    """Raw outputs of the head, flattened over levels, in any float type.

    Attributes:
        classes: Class logits of shape (B, N, C).
        objectness: Objectness logits of shape (B, N).
        boxes: Encoded boxes of shape (B, N, 4).
        keypoints: Encoded keypoints of shape (B, N, 2K); None without the keypoint branch.
        visibility: Visibility logits of shape (B, N, K); None without the keypoint branch.
    """

    classes: Tensor
    objectness: Tensor
    boxes: Tensor
    keypoints: Tensor | None = None
    visibility: Tensor | None = None

    def float(self) -> HeadOutputs:
        """Convert all tensors to float32."""
        return HeadOutputs._make(None if values is None else values.float() for values in self)


class DecodedOutputs(NamedTuple):
    """Outputs of the head with boxes and keypoints in pixels.

    Attributes:
        classes: Class logits of shape (B, N, C).
        objectness: Objectness logits of shape (B, N).
        boxes: Boxes of shape (B, N, 4), xyxy in pixels.
        keypoints: Keypoints of shape (B, N, K, 2) in pixels; None without the keypoint branch.
    """

    classes: Tensor
    objectness: Tensor
    boxes: Tensor
    keypoints: Tensor | None = None

    @classmethod
    def decode(cls, outputs: HeadOutputs, priors: Tensor) -> DecodedOutputs:
        """Decode the boxes and keypoints of raw outputs at priors (N, 3)."""
        keypoints = None if outputs.keypoints is None else decode_keypoints(outputs.keypoints, priors)
        return cls(outputs.classes, outputs.objectness, decode_boxes(outputs.boxes, priors), keypoints)

    def select(self, images: slice, prior_ids: Tensor) -> DecodedOutputs:
        """Return the outputs of some images at the priors (b, M) of each."""
        return DecodedOutputs._make(
            None if values is None else gather_rows(values[images], prior_ids) for values in self
        )


class KeypointTargets(NamedTuple):
    """Annotated keypoints of a batch, padded.

    Attributes:
        keypoints: Keypoints of shape (B, G, K, 2) in pixels.
        visible: Visibility codes of shape (B, G, K): 0 not labeled, 1 labeled but hidden, 2 labeled and visible.
        areas: Areas of shape (B, G) in square pixels.
    """

    keypoints: Tensor
    visible: Tensor
    areas: Tensor

    @property
    def labeled(self) -> Tensor:
        """Mask of shape (B, G, K), true for annotated keypoints."""
        return self.visible > 0


class Targets(NamedTuple):
    """Annotations of a batch, padded to the largest number of instances in an image.

    Attributes:
        boxes: Boxes of shape (B, G, 4), xyxy in pixels.
        labels: Class labels of shape (B, G), int64.
        valid: Mask of shape (B, G), false for padding.
        pose: Keypoint annotations; None in detection mode.
        ignored: Mask of shape (B, N), true for priors inside crowd regions; None if the batch has none.
    """

    boxes: Tensor
    labels: Tensor
    valid: Tensor
    pose: KeypointTargets | None = None
    ignored: Tensor | None = None

    def select(self, images: slice) -> Targets:
        """Return the targets of some images."""
        pose = None if self.pose is None else KeypointTargets(*(values[images] for values in self.pose))
        ignored = None if self.ignored is None else self.ignored[images]
        return Targets(self.boxes[images], self.labels[images], self.valid[images], pose, ignored)


class Assignment(NamedTuple):
    """Instance that each prior has to predict.

    Attributes:
        instance: Index of the instance, shape (B, N), int64; -1 for background.
        overlap: OKS or IoU of the prediction with its instance, shape (B, N), float32; 0 for background.
        max_positives: Upper bound of the positives of an image, known without asking the device; None if unknown.
    """

    instance: Tensor
    overlap: Tensor
    max_positives: int | None = None


class DetectionTensors(NamedTuple):
    """n detections of an image, best first; :class:`yolox_pose.structures.detections.Detections` holds the same in numpy.

    Attributes:
        boxes: Boxes of shape (n, 4), float32, xyxy in pixels.
        scores: Scores of shape (n,), float32.
        labels: Class labels of shape (n,), int64.
        keypoints: Keypoints of shape (n, K, 2), float32, in pixels; None without the keypoint branch.
        keypoint_scores: Visibility probabilities of shape (n, K), 0 for classes without keypoints; None without the branch.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    keypoints: Tensor | None = None
    keypoint_scores: Tensor | None = None


def gather_rows(values: Tensor, ids: Tensor) -> Tensor:
    """Gather rows ``ids`` (B, M) of ``values`` (B, N, ...): (B, M, ...)."""
    images = torch.arange(len(values), device=values.device)[:, None]
    return values[images, ids]
