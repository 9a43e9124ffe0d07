"""Models of all sizes, and pictures full of people, exported to ONNX and compared with PyTorch."""

import numpy as np
import pytest

from tests.test_export.export_models import pictures, write_model
from tests.tiny_models import write_checkpoint
from yolox_pose.export.check import TOLERANCES, Comparison, compare
from yolox_pose.export.exporting import export_model
from yolox_pose.export.options import ExportOptions
from yolox_pose.geometry.letterbox import Preprocessing, fit_image
from yolox_pose.inference.exported.network import ExportedNetwork
from yolox_pose.inference.torch_network import TorchNetwork

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package, reason=f"{package} is not installed")

pytestmark = pytest.mark.slow

PEOPLE = 300
CALM = 0.002
"""Features of deep random networks are so large that their boxes would cover the picture, or nothing of it."""


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("yolox-pose/yolox-pose_nano_8xb32-300e_coco", "raw"),
        ("yolox-pose/yolox-pose_nano_8xb32-300e_coco", "decode"),
        *((f"yolox-pose/yolox-pose_{size}_8xb32-300e_coco", "nms") for size in ("nano", "tiny", "s", "m", "l")),
        ("yolox/yolox_nano_8xb8-300e_coco", "nms"),
        ("yolox/yolox_s_8xb8-300e_coco", "nms"),
        ("yolox/yolox_darknet53_8xb8-300e_coco", "decode"),
        ("joint/yolox-joint_nano_8xb32-300e_coco", "nms"),
        ("joint/yolox-joint_tiny_8xb32-300e_coco", "decode"),
    ],
)
def test_models_of_all_sizes(name, layout, repo_root, tmp_path):
    config = repo_root / "configs" / f"{name}.py"
    checkpoint = write_checkpoint(config, tmp_path / "random.pth", spread=CALM)
    options = ExportOptions("onnx", layout, size=(96, 160), batch=None)
    done = export_model(config, checkpoint, tmp_path / "out", options, pictures=pictures())
    figures = done.description.check
    assert figures["share"] == 1 and figures["matched"] > 10
    assert bool(done.description.skeleton) == ("/yolox_" not in name)


def test_the_largest_model(repo_root, tmp_path):
    """Without suppression: where random boxes overlap by just the threshold, rounding decides, and one box decides the next."""
    config = tmp_path / "x.py"
    base = repo_root / "configs" / "yolox-pose" / "yolox-pose_x_8xb32-300e_coco.py"
    config.write_text(f"_base_ = {str(base)!r}\nmodel = dict(test_cfg=dict(nms_thr=1.0, max_per_img=1000))\n")
    checkpoint = write_checkpoint(config, tmp_path / "random.pth", spread=CALM / 200)
    options = ExportOptions("onnx", "nms", size=(96, 160), batch=None)
    figures = export_model(config, checkpoint, tmp_path / "out", options, pictures=pictures()).description.check
    assert figures["share"] == 1 and figures["matched"] > 1000


@pytest.mark.parametrize(("mode", "layout"), [("pose", "decode"), ("joint", "nms"), ("detection", "raw")])
def test_three_hundred_people(mode, layout, tmp_path):
    config, checkpoint = write_model(tmp_path, mode, calm=mode == "joint", size=(640, 384))
    config.write_text(config.read_text().replace("nms_pre=300", "nms_pre=3000").replace("=20)", f"={PEOPLE})"))
    done = export_model(
        config, checkpoint, tmp_path / "out", ExportOptions("onnx", layout, batch=2), pictures=pictures()
    )
    reference, exported = TorchNetwork(config, checkpoint, "cpu"), ExportedNetwork.load(done.model)
    noise = [np.random.default_rng(i).integers(0, 255, (301, 467, 3), dtype=np.uint8) for i in range(3)]
    preprocessing = Preprocessing((640, 384), mode != "detection")
    batch = [fit_image(picture, preprocessing) for picture in noise]
    total = Comparison()
    for wanted, found in zip(*(network.begin(batch)() for network in (reference, exported))):
        assert len(wanted.scores) == len(found.scores) == PEOPLE
        total += compare(wanted, found, TOLERANCES["fp32"], score_thr=0.01, nms_thr=0.65, max_per_img=PEOPLE)
    assert total.unmatched == 0 and total.matched > 2 * PEOPLE
