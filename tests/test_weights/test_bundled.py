"""The weights in the package: found by one word, small, plain data, and taken when no model is named."""

import os
import subprocess
import sys

import cv2
import pytest
import torch

from yolox_pose import PoseInferencer, weights
from yolox_pose.cli import run, serve
from yolox_pose.cli.common import choose_model
from yolox_pose.cli.convert import main as convert
from yolox_pose.cli.predict import main as predict
from yolox_pose.config import find_config
from yolox_pose.errors import UsageError
from yolox_pose.export.check import check_export
from yolox_pose.inference.exported.description import read_description
from yolox_pose.inference.exported.network import ExportedNetwork
from yolox_pose.inference.torch_network import TorchNetwork
from yolox_pose.weights import BUNDLED, BUNDLED_NAME, find_weights

MAX_BYTES = 5_000_000


def command(repo_root, cwd, *arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(repo_root)}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture
def absent(monkeypatch, tmp_path):
    """An installation without the file."""
    monkeypatch.setattr(
        weights, "BUNDLED", BUNDLED._replace(path=tmp_path / "none.pth", exported=tmp_path / "none.onnx")
    )


def test_a_file_is_taken_as_it_is_and_the_word_is_the_bundled_one(tmp_path, monkeypatch):
    own = tmp_path / "own.pth"
    own.touch()
    assert find_weights(own) == own
    monkeypatch.setattr(weights, "BUNDLED", BUNDLED._replace(path=own))
    assert find_weights(BUNDLED_NAME) == own
    monkeypatch.chdir(tmp_path)
    (tmp_path / BUNDLED_NAME).touch()
    assert find_weights(BUNDLED_NAME).name == BUNDLED_NAME


def test_what_is_not_there_is_said(tmp_path, absent):
    with pytest.raises(UsageError, match=r"checkpoint 'none.pth' does not exist"):
        find_weights("none.pth")
    with pytest.raises(UsageError, match="is not a file"):
        find_weights(tmp_path)
    with pytest.raises(UsageError, match=r"bundled weights \(none.pth\) are not in this installation"):
        find_weights(BUNDLED_NAME)
    with pytest.raises(UsageError, match="not in this installation"):
        PoseInferencer()
    with pytest.raises(UsageError, match=r"bundled weights \(none.onnx\) are not in this installation"):
        PoseInferencer(backend="onnxruntime")


def test_the_word_is_the_bundled_config_too():
    assert find_config(BUNDLED_NAME) == find_config(BUNDLED.config)


def test_a_config_without_weights_is_refused():
    with pytest.raises(UsageError, match="--config C and --checkpoint W go together"):
        choose_model("c.py", None)
    assert run(serve.main, ["--config", "c.py"]) == 2


def test_weights_that_are_not_there_are_refused():
    with pytest.raises(UsageError, match=r"checkpoint 'w.pth' does not exist"):
        choose_model(None, "w.pth")
    with pytest.raises(UsageError, match=r"checkpoint 'w.pth' does not exist"):
        PoseInferencer(checkpoint="w.pth")


def test_the_file_is_small_plain_and_in_half_precision():
    assert BUNDLED.path.stat().st_size < MAX_BYTES
    content = torch.load(BUNDLED.path, weights_only=True)
    assert set(content) == {"meta", "state_dict"}
    state = content["state_dict"]
    assert {value.dtype for value in state.values() if value.dim() > 1} == {torch.float16}
    assert {value.dtype for value in state.values() if value.dim() == 1} == {torch.float32}
    meta = content["meta"]
    assert meta["dataset_meta"]["classes"] == ["person"] and meta["dataset_meta"]["preprocessing"]["centered"] is True
    checkpoints = [file for one in meta["origin"]["files"] for file in one.get("origin", {"files": [one]})["files"]]
    assert len(checkpoints) == 4  # two of this mean, two of the mean that is a part of it
    assert all(len(file["sha256"]) == 64 and file["epoch"] > 0 for file in checkpoints)


def test_the_exported_file_takes_any_size_and_is_small():
    description = read_description(BUNDLED.exported)
    assert description.dynamic and description.batch is None and description.precision == "fp16"
    assert BUNDLED.exported.stat().st_size < MAX_BYTES


@pytest.mark.parametrize("size", [(416, 416), (320, 640)])
def test_the_exported_file_is_the_model_in_pytorch(repo_root, size):
    pytest.importorskip("onnxruntime")
    pictures = [cv2.imread(str(repo_root / "demo" / name)) for name in ("astronaut.jpg", "grace_hopper.jpg")]
    reference, exported = TorchNetwork(BUNDLED_NAME, None, "cpu"), ExportedNetwork.load(BUNDLED.exported, size=size)
    preprocessing = reference.preprocessing._replace(size=size[::-1])
    assert exported.preprocessing == preprocessing and exported.skeleton == reference.skeleton
    check = check_export(reference, exported, preprocessing, pictures)  # raises where they differ
    assert check["matched"] == check["detections"] >= 2


def test_naming_a_runtime_chooses_the_exported_file(repo_root):
    pytest.importorskip("onnxruntime")
    for pose in (PoseInferencer(backend="onnxruntime"), PoseInferencer("bundled", "bundled", backend="onnxruntime")):
        assert isinstance(pose.network, ExportedNetwork)
        assert len(next(pose(repo_root / "demo" / "astronaut.jpg"))) >= 1
    assert choose_model(None, None, "onnxruntime") == (str(BUNDLED.exported), None)
    assert choose_model(None, None)[0] == BUNDLED.config


WITHOUT_TORCH = """
import sys
for name in ("torch", "torchvision", "mmengine", "mmcv", "mmdet", "mmpose", "scipy", "pycocotools", "hotcoco", "PIL"):
    sys.modules[name] = None
sys.path.insert(0, {root!r})
from yolox_pose import PoseInferencer
from yolox_pose.cli.main import entry
pose = PoseInferencer()
assert len(next(pose(sys.argv[2]))) >= 1 and len(next(PoseInferencer("bundled")(sys.argv[2]))) >= 1
sys.argv = ["yolox-pose", *sys.argv[1:]]
sys.exit(entry())
"""


def without_torch(repo_root, cwd, *arguments):
    return command("", cwd, "-c", WITHOUT_TORCH.format(root=str(repo_root)), *arguments)


def test_predict_needs_no_torch(repo_root, tmp_path):
    pytest.importorskip("onnxruntime")
    done = without_torch(repo_root, tmp_path, "predict", repo_root / "demo" / "astronaut.jpg")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith(
        f"model: {BUNDLED.path.stem} from the package as ONNX (better ones: 'yolox-pose install'"
    )
    assert (tmp_path / "predictions" / "astronaut.jpg").is_file()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("predict", ["--config", "bundled", "--checkpoint", BUNDLED.path], "need torch, mmengine, mmcv, mmdet, mmpose; install"),
        ("predict", ["--model", "s"], "models in PyTorch need torch, mmengine, mmcv, mmdet, mmpose; install"),
        ("train", [], "torch is missing, which this command needs; install it with: yolox-pose install"),
        ("test", ["bundled"], "torch is missing"), ("export", ["--format", "torchscript"], "torch is missing"),
        ("convert", ["w.pth"], "torch is missing"), ("quickstart", None, "torch is missing"),
    ],
)  # fmt: skip
def test_commands_that_need_torch_say_so_in_one_line(repo_root, tmp_path, name, options, words):
    photo = repo_root / "demo" / "astronaut.jpg"
    code = "import sys; sys.modules.update(dict.fromkeys(('torch', 'mmengine', 'mmcv', 'mmdet', 'mmpose')))\n"
    code += f"sys.path.insert(0, {str(repo_root)!r})\nfrom yolox_pose.utils import dependencies\n"
    code += "look_up = dependencies.look_up\n"
    code += "dependencies.look_up = lambda one: look_up(one)._replace(version=None if one.module == 'torch' else 'x')\n"
    code += "from yolox_pose.cli.main import entry\nsys.argv[0] = 'yolox-pose'\nsys.exit(entry())"
    arguments = [name, *([] if options is None else [photo, *options])]
    done = command("", tmp_path, "-c", code, *arguments)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith("error: ") and words in line and "yolox-pose install" in line
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_card_is_complete():
    card = BUNDLED.path.with_name("README.md").read_text()
    assert (
        "tools/export.py bundled --format onnx --dynamic --batch dynamic --fp16 --out yolox_pose/weights/onnx" in card
    )
    assert BUNDLED.path.name in card and BUNDLED.config in card
    assert "TO FILL" not in card


@pytest.mark.parametrize("name", ["astronaut.jpg", "grace_hopper.jpg"])
def test_the_default_model_finds_the_person_of_a_portrait(repo_root, name):
    pose = PoseInferencer(device="cpu")
    assert next(pose.network.model.parameters()).dtype == torch.float32
    assert pose.skeleton.num_keypoints == 17 and pose.preprocessing.size == (416, 416)
    (result,) = pose(repo_root / "demo" / name)
    height, width = cv2.imread(str(repo_root / "demo" / name)).shape[:2]
    x1, y1, x2, y2 = result.boxes[0]
    assert result.scores[0] > 0.5 and (x2 - x1) * (y2 - y1) > 0.4 * width * height
    nose, left_shoulder, right_shoulder = (result.keypoints[0][i] for i in (0, 5, 6))
    assert right_shoulder[0] < nose[0] < left_shoulder[0]  # who faces the viewer has the left side on the right
    assert nose[1] < min(left_shoulder[1], right_shoulder[1])


def test_demo_without_a_model_says_which_it_takes(repo_root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(predict, [str(repo_root / "demo" / "astronaut.jpg")]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith(f"model: {BUNDLED.path.stem} from the package")
    drawn = cv2.imread(str(tmp_path / "predictions" / "astronaut.jpg"))
    assert (drawn != cv2.imread(str(repo_root / "demo" / "astronaut.jpg"))).any()


def test_training_can_start_from_it(tmp_path):
    target = tmp_path / "start.pth"
    assert run(convert, [str(BUNDLED.path), str(target), "--config", BUNDLED.config]) == 0
    before, after = (torch.load(path, weights_only=True)["state_dict"] for path in (BUNDLED.path, target))
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.slow
def test_it_can_be_evaluated(repo_root, shared_data, tmp_path):
    data = shared_data / "coco_persons"
    options = [f"test_dataloader.dataset.data_root={data}", f"test_evaluator.ann_file={data}/annotations/val.json"]
    options += ["test_dataloader.num_workers=0", "test_dataloader.persistent_workers=False"]
    done = command(repo_root, tmp_path, repo_root / "tools" / "test.py", "bundled", "bundled", "--out", tmp_path / "out",
                   "--cfg-options", *options, "test_dataloader.dataset.indices=16")  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "out" / "metrics.json").is_file()
