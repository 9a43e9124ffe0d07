"""NMS as an ONNX graph of standard operators, for the end of a decoded network.

Letters: B images, N priors, M candidates, R detections of the batch, K keypoints, C classes. The definitions are those of
:func:`yolox_pose.models.postprocess.detect`: each prior has its best class, and the M priors with the highest scores are
candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import compose, helper, parser

from yolox_pose.structures.settings import PostprocessSettings

OUTPUTS = ("boxes", "scores", "labels", "batch_index")
"""Boxes (R, 4) xyxy, scores (R,), labels (R,) int64 and image indices (R,) int64; sorted by image, then by score."""

POSE_OUTPUTS = ("keypoints", "keypoint_scores")
"""Keypoints (R, K, 2) and their scores (R, K)."""

_HEAD = """
<ir_version: {ir}, opset_import: ["" : {opset}]>
nms (float[b, n, 4] dense_boxes, float[b, n, c] dense_scores{pose_inputs}) => ({outputs})
<float score_thr = {{{score_thr!r}}}, float nms_thr = {{{nms_thr!r}}}, int64 per_class = {{{max_per_img}}},
 int64[1] limit = {{{max_per_img}}}, int64[1] pre = {{{nms_pre}}}, int64[1] one = {{1}}, int64[1] last = {{-1}},
 int64[1] second = {{1}}, int64[2] image_and_box = {{0, 2}}, int64 zero = {{0}}, int64 row_axis = {{1}},
 float nothing = {{0.0}}, {class_flags}float[1] mark = {{1.0}}, int64[1,{num_classes},1] every_class = {{{classes}}}>
{{
  best = ReduceMax <keepdims = 0> (dense_scores, last)
  label = ArgMax <axis = -1, keepdims = 0> (dense_scores)
  count = Shape <start = 1, end = 2> (best)
  some = Min (count, pre)
  top, prior = TopK <axis = 1> (best, some)
  prior_index = Unsqueeze (prior, last)
  box = GatherND <batch_dims = 1> (dense_boxes, prior_index)
  own_label = GatherElements <axis = 1> (label, prior)
  label_row = Unsqueeze (own_label, second)
  top_row = Unsqueeze (top, second)
  is_class = Equal (label_row, every_class)
  class_scores = Where (is_class, top_row, nothing)
  chosen = NonMaxSuppression (box, class_scores, per_class, nms_thr, score_thr)
  places = Gather <axis = 1> (chosen, image_and_box)
  chosen_count = Shape <start = 0, end = 1> (chosen)
  marks = Expand (mark, chosen_count)
  top_shape = Shape (top)
  unmarked = Expand (nothing, top_shape)
  kept = ScatterND (unmarked, places, marks)
  rank = CumSum (kept, row_axis)
  limit_float = Cast <to = 1> (limit)
  within = LessOrEqual (rank, limit_float)
  is_kept = Greater (kept, nothing)
  final = And (is_kept, within)
  columns = NonZero (final)
  at = Transpose <perm = [1, 0]> (columns)
  boxes = GatherND (box, at)
  scores = GatherND (top, at)
  labels = GatherND (own_label, at)
  batch_index = Gather <axis = 1> (at, zero)
"""
_POSE = """
  prior_of = GatherND (prior, at)
  image_column = Unsqueeze (batch_index, second)
  prior_column = Unsqueeze (prior_of, second)
  where = Concat <axis = 1> (image_column, prior_column)
  keypoints = GatherND (dense_keypoints, where)
  every_score = GatherND (dense_keypoint_scores, where)
  has_keypoints = Gather (class_flags, labels)
  has_column = Unsqueeze (has_keypoints, second)
  keypoint_scores = Mul (every_score, has_column)
"""


def nms_graph(
    num_classes: int,
    num_keypoints: int,
    keypoint_classes: Sequence[int],
    settings: PostprocessSettings,
    *,
    opset: int,
    ir_version: int,
) -> onnx.ModelProto:
    """Build the graph from dense to final detections.

    Args:
        num_classes: Number of classes C.
        num_keypoints: Number of keypoints K.
        keypoint_classes: Labels of the classes with keypoints; keypoint scores of other classes become 0.
        settings: Thresholds, which become constants of the graph.
        opset: Version of the operators, at least 18.
        ir_version: IR version of the file.
    """
    outputs = ["float[r, 4] boxes", "float[r] scores", "int64[r] labels", "int64[r] batch_index"]
    pose_inputs = class_flags = ""
    if num_keypoints:
        outputs += [f"float[r, {num_keypoints}, 2] keypoints", f"float[r, {num_keypoints}] keypoint_scores"]
        pose_inputs = (
            f", float[b, n, {num_keypoints}, 2] dense_keypoints, float[b, n, {num_keypoints}] dense_keypoint_scores"
        )
        flags = ", ".join("1.0" if label in keypoint_classes else "0.0" for label in range(num_classes))
        class_flags = f"float[{num_classes}] class_flags = {{{flags}}}, "
    text = _HEAD.format(
        ir=ir_version,
        opset=opset,
        pose_inputs=pose_inputs,
        outputs=", ".join(outputs),
        score_thr=float(settings.score_thr),
        nms_thr=min(float(settings.nms_thr), 1.0),
        max_per_img=settings.max_per_img,
        nms_pre=settings.nms_pre,
        num_classes=num_classes,
        classes=", ".join(map(str, range(num_classes))),
        class_flags=class_flags,
    )
    return parser.parse_model(text + (_POSE if num_keypoints else "") + "}")


def append_nms(decoded: onnx.ModelProto, nms: onnx.ModelProto) -> onnx.ModelProto:
    """Append :func:`nms_graph` to a decoded network."""
    names = [output.name for output in decoded.graph.output]
    decoded = compose.add_prefix(decoded, "dense_", rename_inputs=False)
    merged = compose.merge_models(decoded, nms, io_map=[(f"dense_{name}", f"dense_{name}") for name in names])
    merged.graph.name = "yolox_pose"
    return merged


PLUGIN, PLUGIN_DOMAIN = "EfficientNMS_ONNX_TRT", "TRT"
"""TensorRT's NMS plugin that returns the indices of the kept boxes, which keypoints need (``EfficientNMS_TRT`` does not)."""


def with_plugin(model: onnx.ModelProto, settings: PostprocessSettings) -> onnx.ModelProto:
    """Copy a model with :func:`nms_graph` and replace the standard operator by TensorRT's EfficientNMS plugin.

    The plugin's list of kept boxes has a fixed length: it repeats the last row, and is zero where no box is kept. Marks in
    :func:`nms_graph` may be set twice, and scores are compared with the threshold once more.

    Args:
        model: Model to copy; only TensorRT runs the copy.
        settings: Thresholds of the graph, which become attributes of the plugin.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    nodes = []
    for node in model.graph.node:
        if node.op_type == "NonMaxSuppression":
            nodes += _plugin_nodes(node, settings)
        elif list(node.output) == ["is_kept"]:
            nodes += [
                helper.make_node("Greater", node.input, ["is_marked"]),
                helper.make_node("Greater", ["top", "score_thr"], ["is_above"]),
                helper.make_node("And", ["is_marked", "is_above"], ["is_kept"]),
            ]
        else:
            nodes.append(node)
    del changed.graph.node[:]
    changed.graph.node.extend(nodes)
    changed.opset_import.append(helper.make_opsetid(PLUGIN_DOMAIN, 1))
    return changed


def _plugin_nodes(node: onnx.NodeProto, settings: PostprocessSettings) -> list[onnx.NodeProto]:
    """Return the plugin's nodes: it expects classes on the last axis and returns indices as int32."""
    plugin = helper.make_node(
        PLUGIN,
        [node.input[0], "scores_by_box"],
        ["chosen_int32"],
        domain=PLUGIN_DOMAIN,
        plugin_version="1",
        score_thr=float(settings.score_thr),
        iou_threshold=min(float(settings.nms_thr), 1.0),
        max_output_boxes_per_class=settings.max_per_img,
        center_point_box=0,
    )
    return [
        helper.make_node("Transpose", [node.input[1]], ["scores_by_box"], perm=[0, 2, 1]),
        plugin,
        helper.make_node("Cast", ["chosen_int32"], node.output, to=onnx.TensorProto.INT64),
    ]
