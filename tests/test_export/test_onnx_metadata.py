"""ONNX files say nothing about the machine that exported them."""

import onnx
from onnx import TensorProto, helper

from yolox_pose.export.to_onnx import drop_debug_information


def test_stack_traces_are_removed_and_the_graph_stays():
    node = helper.make_node("Relu", ["x"], ["y"], doc_string="/home/me/model.py")
    node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value="/home/me/model.py")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    values[0].metadata_props.add(key="source", value="/home/me/model.py")
    model = helper.make_model(helper.make_graph([node], "graph", values[:1], values[1:]))
    assert b"/home/me" in model.SerializeToString()
    drop_debug_information(model)
    onnx.checker.check_model(model)
    assert b"/home/me" not in model.SerializeToString()
    assert [n.op_type for n in model.graph.node] == ["Relu"]


def test_the_bundled_model_names_no_folder(repo_root):
    model = onnx.load(repo_root / "yolox_pose" / "weights" / "onnx" / "model.onnx")
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert b"site-packages" not in model.SerializeToString()
