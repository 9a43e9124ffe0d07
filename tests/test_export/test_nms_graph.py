"""NMS as an ONNX graph, run by onnxruntime, against the detections of the model in PyTorch."""

import numpy as np
import pytest
import torch

from yolox_pose.geometry.nms import nms
from yolox_pose.models.postprocess import detect
from yolox_pose.ops import HeadOutputs, decode_boxes, decode_keypoints, grid_priors
from yolox_pose.structures.settings import PostprocessSettings as Settings

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from yolox_pose.export.nms_graph import OUTPUTS, PLUGIN, PLUGIN_DOMAIN, POSE_OUTPUTS, nms_graph, with_plugin  # noqa: E402


def run_graph(raw, priors, keypoint_classes, settings):
    """Outputs of the graph by name for raw predictions."""
    classes, keypoints = raw.classes.shape[-1], 0 if raw.visibility is None else raw.visibility.shape[-1]
    model = nms_graph(classes, keypoints, keypoint_classes, settings, opset=18, ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    scores = raw.classes.sigmoid() * raw.objectness.sigmoid()[..., None]
    dense = {"dense_boxes": decode_boxes(raw.boxes, priors), "dense_scores": scores}
    if keypoints:
        dense["dense_keypoints"] = decode_keypoints(raw.keypoints, priors)
        dense["dense_keypoint_scores"] = raw.visibility.sigmoid()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    assert names == [*OUTPUTS, *(POSE_OUTPUTS if keypoints else ())]
    return dict(zip(names, session.run(None, {name: values.numpy() for name, values in dense.items()})))


@pytest.mark.parametrize(
    ("batch", "classes", "keypoints", "keypoint_classes", "settings"),
    [
        (1, 1, 17, (0,), Settings()),
        (3, 1, 5, (0,), Settings(score_thr=0.3, nms_thr=0.4)),
        (2, 4, 3, (1, 3), Settings(score_thr=0.2, nms_thr=0.5, max_per_img=7)),
        (8, 3, 0, (), Settings(score_thr=0.05, nms_thr=0.65, nms_pre=40, max_per_img=300)),
        (2, 2, 0, (), Settings(nms_thr=1.0, max_per_img=50)),
        (2, 2, 4, (0, 1), Settings(score_thr=0.9999)),
    ],
)
def test_graph_finds_what_the_model_finds(batch, classes, keypoints, keypoint_classes, settings):
    priors = grid_priors([(12, 16), (6, 8), (3, 4)], (8, 16, 32))
    n = len(priors)
    raw = HeadOutputs(
        classes=torch.randn(batch, n, classes) * 2,
        objectness=torch.randn(batch, n) * 2,
        boxes=torch.cat([torch.randn(batch, n, 2), torch.randn(batch, n, 2) * 0.5 + 1.5], -1),
        keypoints=torch.randn(batch, n, 2 * keypoints) if keypoints else None,
        visibility=torch.randn(batch, n, keypoints) if keypoints else None,
    )
    found = run_graph(raw, priors, keypoint_classes, settings)
    posed = torch.tensor([label in keypoint_classes for label in range(classes)])
    wanted = detect(raw, priors, settings, posed)
    assert len(found["scores"]) == sum(len(one.scores) for one in wanted)
    for image, one in enumerate(wanted):
        rows = found["batch_index"] == image
        np.testing.assert_allclose(found["scores"][rows], one.scores, atol=1e-6)
        np.testing.assert_array_equal(found["labels"][rows], one.labels)
        np.testing.assert_allclose(found["boxes"][rows], one.boxes, atol=1e-4)
        if keypoints:
            np.testing.assert_allclose(found["keypoints"][rows], one.keypoints, atol=1e-4)
            np.testing.assert_allclose(found["keypoint_scores"][rows], one.keypoint_scores, atol=1e-6)


def test_nothing_above_the_threshold_is_an_empty_result():
    priors = grid_priors([(2, 2)], (8,))
    raw = HeadOutputs(
        torch.zeros(2, 4, 1),
        torch.full((2, 4), -20.0),
        torch.zeros(2, 4, 4),
        torch.zeros(2, 4, 6),
        torch.zeros(2, 4, 3),
    )
    found = run_graph(raw, priors, (0,), Settings())
    assert (
        found["boxes"].shape == (0, 4) and found["keypoints"].shape == (0, 3, 2) and found["batch_index"].shape == (0,)
    )


def operators():
    """What TensorRT's EfficientNMS_ONNX_TRT does: any order, filled up to a fixed length with its last row, else zeros.

    And GatherElements, which onnx's own evaluator (1.23) gets wrong for an axis of another length.
    """
    from onnx.reference.op_run import OpRun

    class GatherElements(OpRun):
        op_domain = ""

        def _run(self, data, indices, axis=0):
            return (np.take_along_axis(data, indices, axis),)

    class Plugin(OpRun):
        op_domain = PLUGIN_DOMAIN

        def _run(
            self,
            boxes,
            scores,
            score_thr,
            iou_threshold,
            max_output_boxes_per_class,
            center_point_box,
            plugin_version,
        ):
            assert center_point_box == 0 and plugin_version == "1"
            batch, classes = scores.shape[0], scores.shape[2]
            rows = []
            for image in range(batch):
                for label in range(classes):
                    above = np.flatnonzero(scores[image, :, label] > score_thr)
                    above = above[np.argsort(-scores[image, above, label], kind="stable")]
                    kept = nms(boxes[image, above], scores[image, above, label], iou_threshold)
                    rows += [[image, label, prior] for prior in above[kept][:max_output_boxes_per_class]]
            out = np.zeros((batch * max_output_boxes_per_class * classes, 3), np.int32)
            if rows:
                out[:] = rows[0]
                out[: len(rows)] = rows[::-1]
            return (out,)

    Plugin.__name__ = PLUGIN
    return [Plugin, GatherElements]


@pytest.mark.parametrize("score_thr", [0.05, 0.99999], ids=["some", "none"])
def test_the_form_with_the_plugin_of_tensorrt_finds_the_same(score_thr):
    from onnx.reference import ReferenceEvaluator

    thresholds = Settings(score_thr, 40, 0.5, 9)
    standard = nms_graph(3, 4, (0, 2), thresholds, opset=18, ir_version=10)
    changed = with_plugin(standard, thresholds)
    onnx.checker.check_model(changed)
    assert not any(node.op_type == "NonMaxSuppression" for node in changed.graph.node)
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (2, 90, 2)).astype(np.float32)
    dense = {
        "dense_boxes": np.concatenate([corners, corners + rng.uniform(5, 40, (2, 90, 2)).astype(np.float32)], -1),
        "dense_scores": rng.uniform(0, 1, (2, 90, 3)).astype(np.float32),
        "dense_keypoints": rng.normal(size=(2, 90, 4, 2)).astype(np.float32),
        "dense_keypoint_scores": rng.uniform(0, 1, (2, 90, 4)).astype(np.float32),
    }
    session = onnxruntime.InferenceSession(standard.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = session.run(None, dense)
    found = ReferenceEvaluator(changed, new_ops=operators()).run(None, dense)
    assert len(wanted[0]) == (18 if score_thr < 0.5 else 0)
    for name, one, other in zip((*OUTPUTS, *POSE_OUTPUTS), wanted, found):
        np.testing.assert_array_equal(one, other, err_msg=name)
