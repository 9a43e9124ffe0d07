"""Keypoint coding (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

from torch import Tensor


def decode_keypoints(offsets: Tensor, priors: Tensor) -> Tensor:
    """Decode the outputs of the keypoint branch: ``offset * stride + prior``.

    Args:
        offsets: Encoded keypoints of shape (..., N, 2K), of any float type: ``x, y`` of each keypoint in turn.
        priors: Priors of shape (N, 3), or (..., N, 3) that broadcasts.

    Returns:
        Keypoints of shape (..., N, K, 2), float32, in pixels.

    Source: mmpose ``YOLOXPoseHead.decode_kpt_reg``; YOLO-Pose (CVPRW 2022) has ``(2 * offset - 0.5 + cell) * stride``.
    """
    offsets = offsets.float().unflatten(-1, (-1, 2))
    return offsets * priors[..., None, 2:3] + priors[..., None, :2]


def encode_keypoints(keypoints: Tensor, priors: Tensor) -> Tensor:
    """Encode keypoints, the inverse of :func:`decode_keypoints`.

    Args:
        keypoints: Keypoints of shape (..., K, 2) in pixels.
        priors: Priors of shape (..., 3).

    Returns:
        Encoded keypoints of shape (..., 2K), float32.
    """
    return ((keypoints - priors[..., None, :2]) / priors[..., None, 2:3]).flatten(-2)
