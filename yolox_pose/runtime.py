"""Run exported models without torch and OpenMMLab: numpy, OpenCV and one of the runtimes are enough.

>>> from yolox_pose.runtime import load
>>> model = load("model.onnx")
>>> for result in model(["a.jpg", "b.jpg"]):
...     print(result.keypoints.shape)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yolox_pose.inference.inferencer import PoseInferencer

__all__ = ["load"]


def load(
    path: str | os.PathLike[str],
    *,
    backend: str | None = None,
    size: int | tuple[int, int] | None = None,
    tiles: int | tuple[int, int] | None = None,
    tile_overlap: float = 0.25,
    threads: int | None = None,
    score_thr: float | None = None,
    nms_thr: float | None = None,
    max_per_img: int | None = None,
    nms_type: str | None = None,
    oks_thr: float | None = None,
    soft_nms: str | None = None,
    soft_sigma: float | None = None,
    batch_size: int = 8,
    classes: Sequence[str | int] | None = None,
    keep_images: bool = False,
) -> PoseInferencer:
    """Load an exported model.

    Args:
        path: ``.onnx``, ``.xml`` of OpenVINO or ``.param`` of ncnn, with the ``model.json`` that was written beside it.
        backend: ``onnxruntime``, ``openvino``, ``ncnn`` or ``opencv``. None chooses by the ending of the file.
        size: Height and width of the input, or one number for both, of a model that was exported with ``--dynamic``.
        tiles: Number of rows and columns of tiles, or one number for both. None cuts no tiles.
        tile_overlap: Share of a tile that it has in common with its neighbor.
        threads: Number of threads. None leaves it to the runtime.
        score_thr: Lowest score of a person. None uses 0.5, and 0.3 for persons who start a track.
        nms_thr: IoU above which two boxes are duplicates. None uses the model's.
        max_per_img: Maximum number of persons per image. None uses the model's.
        nms_type: What NMS compares: ``'box'``, ``'oks'`` or ``'box_oks'``. None uses the model's, as do the three below.
        oks_thr: OKS above which two poses are duplicates.
        soft_nms: ``'none'``, ``'linear'`` or ``'gaussian'``.
        soft_sigma: Sigma of ``'gaussian'`` soft-NMS.
        batch_size: Number of images in a batch.
        classes: Names or labels of the classes to detect. None detects all.
        keep_images: Whether results of image files hold the decoded image.

    Returns:
        Inferencer that yields the results of images when it is called.

    Raises:
        UsageError: If the file does not exist, or an option does not match the model.
        DataError: If ``model.json`` is missing or belongs to another model, or the file cannot be loaded.
        MissingDependencyError: If the runtime is not installed. The message names the command that installs it.
    """
    from yolox_pose.inference.inferencer import PoseInferencer

    return PoseInferencer(
        path,
        backend=backend,
        size=size,
        tiles=tiles,
        tile_overlap=tile_overlap,
        threads=threads,
        score_thr=score_thr,
        nms_thr=nms_thr,
        max_per_img=max_per_img,
        nms_type=nms_type,
        oks_thr=oks_thr,
        soft_nms=soft_nms,
        soft_sigma=soft_sigma,
        batch_size=batch_size,
        classes=classes,
        keep_images=keep_images,
    )
