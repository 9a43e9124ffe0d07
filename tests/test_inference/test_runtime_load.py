"""The runtime on a hand-made model: backends, batches, thresholds, and errors of one line."""

import json
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from yolox_pose import PoseInferencer
from yolox_pose.cli import run
from yolox_pose.cli.predict import main as predict
from yolox_pose.errors import DataError, UsageError
from yolox_pose.geometry.letterbox import Fitted
from yolox_pose.inference.exported.description import FILE_NAME, parse_description, read_description
from yolox_pose.inference.exported.network import ExportedNetwork
from yolox_pose.runtime import load
from yolox_pose.structures.settings import PostprocessSettings
from yolox_pose.tracking.assignment import load_solver
from yolox_pose.utils.dependencies import MissingDependencyError

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from tests.test_inference.handmade_model import BOXES, describe, write_handmade


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    return write_handmade(tmp_path_factory.mktemp("handmade"))


def bright(height=128, width=192, level=255):
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino", "opencv"])
@pytest.mark.parametrize("batch", [1, 3, "batch"])
def test_boxes_scores_and_keypoints_of_every_backend(backend, batch, tmp_path):
    pytest.importorskip("cv2" if backend == "opencv" else backend, reason=f"{backend} is not installed")
    if backend == "opencv" and batch == "batch":
        pytest.skip("OpenCV takes models of a fixed batch")
    model = load(write_handmade(tmp_path, batch), backend=backend, score_thr=0.2)
    images = [bright(), bright(64, 96, 128), bright(32, 48), bright(level=0), bright(640, 960)]
    results = list(model(images, batch_size=2))
    assert [len(result) for result in results] == [2, 2, 2, 0, 2], (
        "the second box is suppressed, a black image has none"
    )
    for result, img in zip(results, images):
        scale = img.shape[0] / 64
        if len(result):
            np.testing.assert_allclose(result.boxes, BOXES[[0, 2]] * scale, atol=1e-3)
            np.testing.assert_allclose(result.keypoints, result.boxes.reshape(-1, 2, 2), atol=1e-3)
            np.testing.assert_allclose(result.scores, np.array([0.9, 0.6]) * img.max() / 255, atol=1e-3)
        assert result.keypoints.shape[1:] == (2, 2) and result.skeleton.names == ("top", "bottom")
    assert results[0].plot().shape == (128, 192, 3) and results[0].to_coco(1)[0]["category_id"] == 1


def test_the_inferencer_takes_the_model_too(model_file, tmp_path):
    cv2.imwrite(str(tmp_path / "7.png"), bright())
    (result,) = PoseInferencer(model_file)(tmp_path)
    assert len(result) == 2 and result.image_id == 7
    strict, single = PoseInferencer(model_file, score_thr=0.7), load(str(model_file), max_per_img=1)
    assert len(next(strict(bright()))) == 1 and len(next(single(bright()))) == 1
    assert len(next(load(model_file, nms_thr=1.0)(bright()))) == 3
    for options in ({"checkpoint": "w.pth"}, {"device": "cuda"}):
        with pytest.raises(UsageError, match="is an exported model"):
            PoseInferencer(model_file, **options)
    with pytest.raises(UsageError, match="for exported models"):
        PoseInferencer("config.py", "weights.pth", backend="opencv")


def test_wrong_calls(model_file, tmp_path):
    (tmp_path / "model.pt").write_text("")
    for path, options, words in (
        (tmp_path / "nowhere.onnx", {}, "does not exist"),
        (tmp_path / "model.pt", {}, r"end in \.onnx, \.xml, \.param"),
        (model_file, {"backend": "abacus"}, "unknown backend 'abacus'; known: onnxruntime, openvino"),
        (model_file, {"backend": "ncnn"}, r"ncnn reads \.param files"),
        (model_file, {"size": (128, 128)}, "takes images of 64x96 px .* only"),
        (model_file, {"score_thr": 2}, "score_thr"),
    ):
        with pytest.raises(UsageError, match=words):
            (load if path.suffix == ".onnx" else ExportedNetwork.load)(path, **options)


def test_wrong_shape_at_run_time(model_file):
    model = load(model_file)
    with pytest.raises(UsageError, match=r"takes images of 64x96 px .* only; export it with --dynamic for 65x96"):
        model.network.begin([Fitted(np.zeros((65, 96, 3), np.uint8), None)])
    with pytest.raises(UsageError, match="images of a batch have one size"):
        model.network.begin([Fitted(np.zeros((side, 96, 3), np.uint8), None) for side in (64, 32)])
    with pytest.raises(UsageError, match="takes images of 64x96 px .* only"):
        model(bright(), size=128)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"nms_type": "box"}, 2),
        ({"nms_type": "oks"}, 2),
        ({"nms_type": "oks", "oks_thr": 1.0}, 3),
        ({"nms_type": "box_oks", "oks_thr": 1.0}, 3),
        ({"soft_nms": "gaussian", "soft_sigma": 100}, 3),
    ],
)
def test_nms_by_poses_and_soft_nms(model_file, settings, expected):
    """The first two boxes and poses are 1 px apart."""
    (result,) = load(model_file, **settings, score_thr=0.1)(bright())
    assert len(result) == expected


def test_description_is_missing_or_of_another_model(model_file, tmp_path):
    alone = tmp_path / "model.onnx"
    alone.write_bytes(model_file.read_bytes())
    with pytest.raises(DataError, match=r"model\.onnx has no model\.json beside it"):
        load(alone)
    content = json.loads(model_file.with_name(FILE_NAME).read_text())
    (tmp_path / FILE_NAME).write_text(json.dumps(content))
    assert read_description(alone).classes == ("person",)
    renamed = alone.rename(tmp_path / "people.onnx")
    assert read_description(renamed).size == (64, 96), "the name does not matter, the content does"
    renamed.write_bytes(model_file.read_bytes() + b"\0")
    with pytest.raises(DataError, match=r"model\.json describes another model than .*people\.onnx"):
        load(renamed)


def test_description_round_trip(model_file):
    description = describe(model_file, outputs=("boxes",))
    assert parse_description(json.loads(json.dumps(description.to_json())), "x") == description
    settings = PostprocessSettings(score_thr=0.2, nms_type="box_oks", oks_thr=0.7, soft_nms="linear")
    other = replace(description, postprocess=settings)
    assert parse_description(json.loads(json.dumps(other.to_json())), "x") == other
    skeleton = description.to_json()["skeleton"]
    assert len(skeleton["keypoint_colors"]) == 2 and len(skeleton["link_colors"]) == 1 and skeleton["sigmas"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 9}, "format 1, .*\\(it has 9\\)"),
        ({"layout": "cooked"}, "layout 'cooked' is not one of raw, decode, nms"),
        ({"size": [1]}, "'size' is invalid"),
        ({"size": None}, "'size' is invalid"),
        ({"score_thr": "high"}, "score_thr must be between 0 and 1, not 'high'"),
        ({"skeleton": {"names": ["a"], "links": [[0, 5]]}}, "'skeleton' is invalid"),
    ],
)
def test_descriptions_that_cannot_be_used(model_file, change, words):
    with pytest.raises(DataError, match=words):
        parse_description({**describe(model_file, outputs=("boxes",)).to_json(), **change}, "model.json")
    for content in ([], {"format": 1}):
        with pytest.raises(DataError, match="model.json"):
            parse_description(content, "model.json")


def test_files_that_are_no_models(model_file, tmp_path):
    for backend in ("onnxruntime", "openvino", "opencv"):
        pytest.importorskip("cv2" if backend == "opencv" else backend, reason=f"{backend} is not installed")
        folder = tmp_path / backend
        folder.mkdir()
        path = folder / "model.onnx"
        path.write_bytes(b"nothing of the kind")
        (folder / FILE_NAME).write_text(json.dumps(describe(path, outputs=("boxes",)).to_json()))
        with pytest.raises(DataError, match="cannot load"):
            load(path, backend=backend)
    path = write_handmade(tmp_path / "other")
    content = json.loads(path.with_name(FILE_NAME).read_text())
    path.with_name(FILE_NAME).write_text(json.dumps({**content, "outputs": ["boxes", "scores"]}))
    with pytest.raises(DataError, match="its description"):
        load(path)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_description_of_another_input(backend, tmp_path):
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    path = write_handmade(tmp_path)
    content = json.loads(path.with_name(FILE_NAME).read_text())
    for change in ({"size": [32, 32]}, {"batch": 4}):
        path.with_name(FILE_NAME).write_text(json.dumps({**content, **change}))
        with pytest.raises(DataError, match=r"takes images of shape \(1, 3, 64, 96\), but its description says"):
            load(path, backend=backend)


def test_opencv_refuses_what_it_cannot_run(tmp_path):
    path = write_handmade(tmp_path, layout="nms")
    with pytest.raises(UsageError, match="OpenCV cannot run; export it with --decode or --raw"):
        load(path, backend="opencv")
    with pytest.raises(UsageError, match="the lowest score_thr of this model is 0.01"):
        load(path, score_thr=0.001)
    with pytest.raises(UsageError, match="NMS with nms_type box is part of this model; to use oks, export it with"):
        load(path, nms_type="oks")
    with pytest.raises(UsageError, match="export it with --decode"):
        load(path, nms_thr=0.5)


def test_a_missing_runtime_names_its_package(model_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "yolox_pose.inference.exported.backends.onnxruntime", raising=False)
    with pytest.raises(MissingDependencyError, match=r"pip install onnxruntime$"):
        load(model_file)


BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError("blocked: " + name, name=name)

sys.meta_path.insert(0, Blocker())
sys.path.insert(0, {root!r})
from yolox_pose.geometry.letterbox import Fitted
from yolox_pose.runtime import load
from yolox_pose.tracking.assignment import load_solver
from yolox_pose import PoseInferencer
late = not sys.modules.keys() & {{"onnxruntime", "openvino", "urllib.request", "http.client", "ssl"}}
model = load(sys.argv[1])
(result,) = model(sys.argv[2])
print(len(result), isinstance(model, PoseInferencer), late)
from yolox_pose.cli.main import entry
sys.argv = ["yolox-pose", "predict", sys.argv[2], "--model", sys.argv[1], "--out", sys.argv[3], "--json", sys.argv[3] + "/r.json"]
sys.exit(entry())
"""
NOT_NEEDED = (
    "torch",
    "torchvision",
    "mmengine",
    "mmcv",
    "mmdet",
    "mmpose",
    "scipy",
    "matplotlib",
    "pycocotools",
    "hotcoco",
    "PIL",
    "onnx",
)


def test_runs_where_torch_and_openmmlab_are_not(model_file, tmp_path, repo_root):
    cv2.imwrite(str(tmp_path / "5.png"), bright())
    code = BLOCKED.format(names=NOT_NEEDED, root=str(repo_root))
    out = tmp_path / "out"
    command = [sys.executable, "-c", code, str(model_file), str(tmp_path / "5.png"), str(out)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 True True"), done.stdout
    assert len(json.loads((out / "r.json").read_text())) == 2 and (out / "5.png").is_file()


def test_track_without_scipy_is_one_line_that_names_the_package(model_file, tmp_path, monkeypatch, capsys, request):
    request.addfinalizer(load_solver.cache_clear)
    load_solver.cache_clear()
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    cv2.imwrite(str(tmp_path / "5.png"), bright())
    arguments = [str(tmp_path / "5.png"), "--model", str(model_file), "--out", str(tmp_path / "out")]
    assert run(predict, [*arguments, "--track"]) == 1
    assert capsys.readouterr().err == "error: tracking needs scipy; install it with: pip install scipy\n"
    assert run(predict, arguments) == 0


@pytest.mark.slow
def test_runs_in_an_environment_of_four_packages(model_file, tmp_path, repo_root):
    """numpy, OpenCV, tqdm and onnxruntime from wheels, and this package without its other dependencies."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--only-binary=:all:", "--disable-pip-version-check"]
    made = subprocess.run(
        [*pip, "numpy", "opencv-python-headless<5", "tqdm", "onnxruntime"], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"pip cannot install here: {made.stderr.strip().splitlines()[-1]}")
    cv2.imwrite(str(tmp_path / "5.png"), bright())
    code = BLOCKED.format(names=("torch",), root=str(repo_root))
    command = [str(python), "-I", "-c", code, str(model_file), str(tmp_path / "5.png"), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 True"), done.stdout


def test_settings_of_one_call_that_are_fixed_in_the_model(tmp_path):
    pose = load(write_handmade(tmp_path, layout="nms"))
    with pytest.raises(UsageError, match="NMS with nms_thr 0.65 is part of this model"):
        pose(bright(), nms_thr=0.3)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino", "opencv"])
def test_parts_of_a_batch_keep_their_outputs(tmp_path, backend):
    """The network runs on all parts before the first is decoded; the next run must not overwrite its outputs."""
    if backend != "opencv":
        pytest.importorskip(backend)
    pose = load(write_handmade(tmp_path), backend=backend, score_thr=0.1)
    gray = [np.full((64, 96, 3), level, np.uint8) for level in (255, 128, 64)]
    together = [result.scores.tolist() for result in pose(gray, batch_size=3)]
    assert together == [next(pose(image)).scores.tolist() for image in gray]
    assert together[0][0] == pytest.approx(0.9) and min(next(pose(gray[0])).timings) > 0
