"""Real detector weights on real photographs: 56 of COCO, every layout, batches of 1 and 8, a size that is not square."""

import numpy as np
import pytest

from yolox_pose.export.check import TOLERANCES, Comparison, check_export, compare
from yolox_pose.export.exporting import export_model
from yolox_pose.export.options import FORMATS, ExportOptions
from yolox_pose.geometry.images import read_image
from yolox_pose.geometry.letterbox import fit_image
from yolox_pose.inference.exported.network import ExportedNetwork
from yolox_pose.inference.torch_network import TorchNetwork
from yolox_pose.utils.json_files import read_json

pytestmark = pytest.mark.slow

CONFIG = "yolox_nano_8xb8-300e_coco"
ANNOTATIONS, PHOTOS = "annotations/val.json", 55


@pytest.fixture(scope="module")
def weights(shared_data):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    return shared_data / "weights" / "yolox_nano_coco_mmdet.pth"


@pytest.fixture(scope="module")
def photos(shared_data):
    folder = shared_data / "coco_persons"
    names = [image["file_name"] for image in read_json(folder / ANNOTATIONS, "annotations")["images"][:PHOTOS]]
    return [*(read_image(folder / "images" / name) for name in names), np.full((97, 211, 3), 114, np.uint8)]


@pytest.mark.parametrize(
    ("options", "backends"),
    [
        (ExportOptions("onnx", "decode", batch=None), ("onnxruntime", "openvino")),
        (ExportOptions("onnx", "raw", size=(384, 640), batch=8), ("onnxruntime", "openvino", "opencv")),
        (ExportOptions("onnx", "nms", batch=8), ("onnxruntime", "openvino")),
        (ExportOptions("onnx", half=True, batch=8), ("onnxruntime", "openvino", "opencv")),
        (ExportOptions("openvino", half=True), ("openvino",)),
        (ExportOptions("ncnn", half=True), ("ncnn",)),
        (ExportOptions("ncnn"), ("ncnn",)),
    ],
    ids=["decode", "raw 384x640", "nms", "onnx fp16", "openvino fp16", "ncnn fp16", "ncnn"],
)
def test_detections_on_photographs(weights, photos, options, backends, tmp_path):
    for package in FORMATS[options.format].modules:
        pytest.importorskip(package, reason=f"{package} is not installed")
    done = export_model(CONFIG, weights, tmp_path, options, pictures=photos[:8])
    reference = TorchNetwork(CONFIG, weights, "cpu")
    for backend in backends:
        pytest.importorskip("cv2" if backend == "opencv" else backend, reason=f"{backend} is not installed")
        exported = ExportedNetwork.load(done.model, backend=backend)
        figures = check_export(reference, exported, exported.preprocessing, photos)
        assert figures["images"] == PHOTOS + 1 and figures["detections"] > 5 * PHOTOS
        assert figures["share"] >= TOLERANCES[done.description.precision].share
        print(options.layout, backend, figures)


def test_batches_do_not_change_what_is_found(weights, photos, tmp_path):
    done = export_model(CONFIG, weights, tmp_path, ExportOptions("onnx", batch=None), pictures=photos[:4])
    exported = ExportedNetwork.load(done.model)
    batch = [fit_image(photo, exported.preprocessing) for photo in photos]
    alone = [found for image in batch for found in exported.begin([image])()]
    total = Comparison()
    for start in range(0, len(photos), 8):
        part = slice(start, start + 8)
        for one, other in zip(alone[part], exported.begin(batch[part])()):
            total += compare(one, other, TOLERANCES["fp32"], score_thr=0.01, nms_thr=0.65, max_per_img=300)
    assert total.share == 1 and total.images == len(photos)
