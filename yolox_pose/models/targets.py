"""From data samples to padded target tensors (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from yolox_pose.errors import DataError
from yolox_pose.ops import KeypointTargets, Targets


def _pad(rows: Sequence[Tensor], length: int) -> Tensor:
    """Stack (g_i, ...) tensors to (B, length, ...), filled up with zeros."""
    result = rows[0].new_zeros(len(rows), length, *rows[0].shape[1:])
    for target, source in zip(result, rows):
        target[: len(source)] = source
    return result


def _ignored_priors(masks: Sequence[Tensor | None], priors: Tensor) -> Tensor | None:
    """(B, N) true for priors whose grid point lies inside a crowd region; None where no image has one.

    The masks are (1, height, width) at the resolution of the network's input before the batch was resized; they are
    looked up by relative position.
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


def collect_targets(
    data_samples: Sequence, priors: Tensor, num_keypoints: int, has_keypoints: Tensor | None = None
) -> Targets:
    """Pad the annotations of a batch where they are, and move them to the device of the priors.

    Args:
        data_samples: Samples with ``gt_instance_labels`` (``bboxes``, ``labels`` and, for pose, ``keypoints``,
            ``keypoints_visible``, ``areas``) and, where the image has crowd regions, ``gt_fields.ignore_mask``.
        priors: (N, 3).
        num_keypoints: K of the head; 0 leaves the keypoint targets out.
        has_keypoints: (C,) bool on the device of the priors, which classes have keypoints: instances of the others
            count as not labelled, whatever their annotations hold. None for all.

    Raises:
        DataError: If an image's keypoints are not K.
    """
    instances = [sample.gt_instance_labels for sample in data_samples]
    counts = [len(one.bboxes) for one in instances]
    most = max(counts)

    def padded(field: str) -> Tensor:
        return _pad([one[field] for one in instances], most).to(priors.device, non_blocking=True)

    labels = padded("labels")
    pose = None
    if num_keypoints:
        for sample, one in zip(data_samples, instances):
            if one.keypoints.shape[1] != num_keypoints:
                raise DataError(
                    f"image {sample.metainfo.get('img_path')}: {one.keypoints.shape[1]} keypoints an instance, but the "
                    f"model has {num_keypoints}; give data set and head the same 'skeleton'"
                )
        pose = KeypointTargets(padded("keypoints"), padded("keypoints_visible"), padded("areas"))
        if has_keypoints is not None:
            known = labels.clamp(0, len(has_keypoints) - 1)  # a label that fits no class is refused by the head
            pose = pose._replace(visible=pose.visible * has_keypoints[known][..., None])
    masks = [sample.gt_fields.ignore_mask if "gt_fields" in sample else None for sample in data_samples]
    return Targets(
        boxes=padded("bboxes"),
        labels=labels,
        valid=(torch.arange(most) < torch.tensor(counts)[:, None]).to(priors.device, non_blocking=True),
        pose=pose,
        ignored=_ignored_priors(masks, priors),
    )
