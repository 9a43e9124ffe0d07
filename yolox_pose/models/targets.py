"""From data samples to padded target tensors (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmpose.structures import PoseDataSample
from torch import Tensor

from yolox_pose.errors import DataError
from yolox_pose.ops import KeypointTargets, Targets


def check_labels(data_samples: Sequence[PoseDataSample], num_classes: int) -> None:
    """Check that every label is one of the classes. Labels on a GPU are not checked, which would wait for it.

    Raises:
        DataError: If a label is out of range; names the image.
    """
    labels = [sample.gt_instance_labels.labels for sample in data_samples]
    if any(image_labels.is_cuda for image_labels in labels):
        return
    batch_labels = torch.cat(labels)
    out_of_range = (batch_labels < 0) | (batch_labels >= num_classes)
    if out_of_range.any():
        first = int(out_of_range.nonzero()[0])
        ends = torch.tensor([len(image_labels) for image_labels in labels]).cumsum(0)
        image = int(torch.searchsorted(ends, first, right=True))
        raise DataError(
            f"image {data_samples[image].metainfo.get('img_path')}: label {int(batch_labels[first])} does not fit a model "
            f"of {num_classes} class(es); check 'classes' of the data set and 'num_classes' of the head"
        )


def collect_targets(
    data_samples: Sequence[PoseDataSample], priors: Tensor, num_keypoints: int, has_keypoints: Tensor | None = None
) -> Targets:
    """Pad the annotations of a batch and move them to the device of the priors.

    Padding comes first, so that each field needs one copy for the whole batch.

    Args:
        data_samples: Samples with ``gt_instance_labels`` (``bboxes``, ``labels`` and, for pose, ``keypoints``,
            ``keypoints_visible``, ``areas``) and, for images with crowd regions, ``gt_fields.ignore_mask``.
        priors: Grid points of shape (N, 3).
        num_keypoints: K of the head; 0 leaves the keypoint targets out.
        has_keypoints: Bool of shape (C,), the classes that have keypoints; None for all. Keypoints of instances of other
            classes count as not labeled.

    Raises:
        DataError: If an image has another number of keypoints than the head.
    """
    instances = [sample.gt_instance_labels for sample in data_samples]
    counts = [len(image_instances.bboxes) for image_instances in instances]
    max_instances = max(counts)

    def padded(field: str) -> Tensor:
        rows = [image_instances[field] for image_instances in instances]
        return _pad(rows, max_instances).to(priors.device, non_blocking=True)

    # Boxes, classes and crowd regions
    labels = padded("labels")
    valid = torch.arange(max_instances) < torch.tensor(counts)[:, None]
    masks = [sample.gt_fields.ignore_mask if "gt_fields" in sample else None for sample in data_samples]
    targets = Targets(
        boxes=padded("bboxes"),
        labels=labels,
        valid=valid.to(priors.device, non_blocking=True),
        ignored=_ignored_priors(masks, priors),
    )
    if not num_keypoints:
        return targets

    # Keypoints, without those of classes that have none
    for sample in data_samples:
        if sample.gt_instance_labels.keypoints.shape[1] != num_keypoints:
            raise DataError(
                f"image {sample.metainfo.get('img_path')}: {sample.gt_instance_labels.keypoints.shape[1]} keypoints an "
                f"instance, but the model has {num_keypoints}; give data set and head the same 'skeleton'"
            )
    visible = padded("keypoints_visible")
    if has_keypoints is not None:
        safe_labels = labels.clamp(0, len(has_keypoints) - 1)  # check_labels refuses labels that are out of range
        visible = visible * has_keypoints[safe_labels][..., None]
    return targets._replace(pose=KeypointTargets(padded("keypoints"), visible, padded("areas")))


def _pad(rows: Sequence[Tensor], length: int) -> Tensor:
    """Stack tensors of shape (g_i, ...) to (B, length, ...), filled up with zeros."""
    padded = rows[0].new_zeros(len(rows), length, *rows[0].shape[1:])
    for target, source in zip(padded, rows):
        target[: len(source)] = source
    return padded


def _ignored_priors(masks: Sequence[Tensor | None], priors: Tensor) -> Tensor | None:
    """Return which priors lie inside crowd regions, (B, N) bool; None if no image has a crowd region.

    Args:
        masks: Crowd mask of each image, (1, height, width), at the size before the batch was resized. Priors look
            their pixel up by relative position.
        priors: Grid points of shape (N, 3).
    """
    if all(mask is None for mask in masks):
        return None
    size = priors[:, :2].amax(0) + priors[0, 2]  # the grid of the smallest stride covers the input exactly
    ignored = torch.zeros(len(masks), len(priors), dtype=torch.bool, device=priors.device)
    for row, mask in zip(ignored, masks):
        if mask is not None:
            height, width = mask.shape[-2:]
            column = (priors[:, 0] / size[0] * width).long().clamp(max=width - 1)
            line = (priors[:, 1] / size[1] * height).long().clamp(max=height - 1)
            row.copy_(mask.to(priors.device, non_blocking=True)[0, line, column] > 0)
    return ignored
