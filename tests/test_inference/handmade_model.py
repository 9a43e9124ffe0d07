"""Model of a few ONNX nodes, to test the runtime without an export."""

from pathlib import Path

import numpy as np

from yolox_pose.inference.exported.description import ModelDescription, file_digest, write_description
from yolox_pose.structures.skeleton import Skeleton

SIZE = (64, 96)
BOXES = np.array([[10, 8, 30, 40], [11, 8, 31, 40], [50, 20, 90, 60]], np.float32)
"""Boxes in pixels of the input; the first two overlap."""


def write_handmade(folder: Path, batch: int | str = 1, layout: str = "decode") -> Path:
    """Write a model whose scores are (0.9, 0.8, 0.6) times the brightness of the image; keypoints are the corners of the boxes."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    def constant(name, values, kind=np.float32):
        return numpy_helper.from_array(np.asarray(values, kind), name)

    nodes = [
        helper.make_node("ReduceMean", ["images"], ["level"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["level", "part"], ["share"]),
        helper.make_node("Reshape", ["share", "column"], ["flat"]),
        helper.make_node("Mul", ["flat", "shares"], ["scores"]),
        helper.make_node("Mul", ["flat", "zero"], ["nothing"]),
        helper.make_node("Add", ["all_boxes", "nothing"], ["boxes"]),
        helper.make_node("Reshape", ["boxes", "corners"], ["keypoints"]),
        helper.make_node("Concat", ["scores", "scores"], ["keypoint_scores"], axis=2),
    ]
    constants = [
        constant("part", 1 / 255),
        constant("column", [-1, 1, 1], np.int64),
        constant("shares", [[[0.9], [0.8], [0.6]]]),
        constant("zero", 0.0),
        constant("all_boxes", BOXES[None]),
        constant("corners", [-1, 3, 2, 2], np.int64),
    ]
    shapes = {
        "boxes": [batch, 3, 4],
        "scores": [batch, 3, 1],
        "keypoints": [batch, 3, 2, 2],
        "keypoint_scores": [batch, 3, 2],
    }
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, *SIZE])
    graph = helper.make_graph(nodes, "handmade", [images], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    save(model, str(path))
    write_description(folder, describe(path, batch, layout, tuple(shapes)))
    return path


def describe(
    path: Path, batch: int | str = 1, layout: str = "decode", outputs: tuple[str, ...] = ()
) -> ModelDescription:
    """Return the description that ``model.json`` holds."""
    return ModelDescription(
        target="onnx",
        layout=layout,
        size=SIZE,
        batch=batch if isinstance(batch, int) else None,
        outputs=outputs,
        classes=("person",),
        keypoint_classes=(0,),
        skeleton=Skeleton(("top", "bottom"), links=((0, 1),)),
        files={path.name: file_digest(path)},
    )
