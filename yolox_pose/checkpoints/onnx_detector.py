"""Convert the weights of a YOLOX detector in an ONNX file to a checkpoint."""

from __future__ import annotations

import logging
import os
from typing import Any

from yolox_pose.checkpoints.calibration import calibrate_norms, calibrate_on_images
from yolox_pose.checkpoints.files import Checkpoint
from yolox_pose.checkpoints.layouts import LAYOUTS
from yolox_pose.checkpoints.matching import SIZES_BY_STEM
from yolox_pose.checkpoints.onnx_import import OnnxModel, graph_size, read_onnx, unfold
from yolox_pose.checkpoints.preprocessing import describe_preprocessing
from yolox_pose.config import load_config
from yolox_pose.errors import DataError
from yolox_pose.geometry.letterbox import Preprocessing
from yolox_pose.io.sources import list_sources
from yolox_pose.registry import MODELS, SCOPE

from mmengine.registry import init_default_scope  # isort: skip  (after the registry, which fills gaps of the stack)

logger = logging.getLogger(__name__)

ONNX_LAYOUT = LAYOUTS["megvii"]._replace(title="an ONNX graph of YOLOX")
DETECTOR_CONFIG = "yolox_{}_8xb8-300e_coco"
"""Config of the detector of a size."""


def import_onnx(
    path: str | os.PathLike[str], images: str | os.PathLike[str] | None = None, *, legacy: bool = False
) -> tuple[Checkpoint, int | None]:
    """Read the weights of a YOLOX detector from an ONNX file whose batch norms are folded.

    Args:
        path: Path of the file.
        images: Folder of images to measure batch-norm statistics on. Without it the statistics are placeholders, which no
            training can start from; a warning says so.
        legacy: Whether the detector expects RGB images with ImageNet's normalization.

    Returns:
        The checkpoint, and the number of images.

    Raises:
        UsageError: If the onnx package or the folder is missing.
        DataError: If the file holds another network, or no image can be read.
    """
    name = os.fspath(path)
    sources = None if images is None else list_sources(images)

    # Read the graph and write its convolutions into a detector of the same size
    graph = read_onnx(name)
    model = _build_detector(graph, name)
    weights = unfold(model.state_dict(), graph, name)
    dataset_meta = describe_preprocessing(ONNX_LAYOUT, weights, {}, legacy)
    if sources is None:
        logger.warning("%s: without --calibrate DIR the weights can predict, but no training can start from them", name)
        return Checkpoint(name, weights, ONNX_LAYOUT, dataset_meta), None

    # Measure the batch norms that were folded away
    model.load_state_dict(weights)
    stored = dataset_meta["preprocessing"]
    model.data_preprocessor.set_normalization(stored["channel_order"] == "rgb", stored["mean"], stored["std"])
    preprocessing = Preprocessing(graph.size, stored["centered"], stored["pad_value"])
    count = calibrate_on_images(calibrate_norms, model, sources, preprocessing)
    return Checkpoint(name, dict(model.state_dict()), ONNX_LAYOUT, dataset_meta), count


def _build_detector(graph: OnnxModel, name: str) -> Any:
    """Build the detector that an ONNX graph holds, in evaluation mode.

    Raises:
        DataError: If the graph is not a detector of a published size.
    """
    channels, depthwise, classes = graph_size(graph)
    size = SIZES_BY_STEM.get(channels)
    if size is None or depthwise != (size == "nano") or classes is None:
        raise DataError(
            f"{name}: it is not the graph of a YOLOX detector of a published size (stem of {channels} channels, "
            f"{len(graph.convs)} convolutions)"
        )
    config = load_config(DETECTOR_CONFIG.format(size), {"model.head.num_classes": classes})
    init_default_scope(config.get("default_scope", SCOPE))
    return MODELS.build(config.model).eval()
