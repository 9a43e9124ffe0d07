"""Poses by exported models, without torch and OpenMMLab: numpy, OpenCV and one of the runtimes are enough.

>>> from yolox_pose.runtime import load
>>> model = load("model.onnx")
>>> for result in model(["a.jpg", "b.jpg"]):
...     print(result.keypoints.shape)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yolox_pose.inference.inferencer import PoseInferencer

__all__ = ["load"]


def load(
    path: str | os.PathLike[str],
    *,
    backend: str | None = None,
    size: tuple[int, int] | None = None,
    threads: int | None = None,
    **options: Any,
) -> PoseInferencer:
    """Load an exported model.

    Args:
        path: ``.onnx``, OpenVINO's ``.xml`` or ncnn's ``.param``, with the ``model.json`` that was written beside it.
        backend: ``onnxruntime``, ``openvino``, ``ncnn`` or ``opencv``; None chooses by the ending of the file.
        size: (H, W) of the input, for models that were exported with ``--dynamic``.
        threads: Threads of a call; None leaves it to the runtime.
        **options: Of :class:`yolox_pose.inference.inferencer.PoseInferencer`, such as ``score_thr``.

    Returns:
        An inferencer: called with images, it yields their results.

    Raises:
        UsageError: If the file is not there, or an option does not fit the model.
        DataError: If ``model.json`` is missing or of another model, or the file cannot be loaded.
        MissingDependencyError: If the runtime is not installed; names the command that installs it.
    """
    from yolox_pose.inference.inferencer import PoseInferencer

    return PoseInferencer(path, backend=backend, input_size=size, threads=threads, **options)
