"""``tools/convert.py`` as users run it: every command of the guide, both directions, and what it refuses."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.crowds import data_options, make_crowd
from tests.test_checkpoints.checkpoint_models import DETECTOR, POSE, build
from yolox_pose.checkpoints import LAYOUTS, export_name, read_checkpoint  # noqa: E402
from yolox_pose.cli import run  # noqa: E402
from yolox_pose.cli.convert import TARGETS, build_parser, main  # noqa: E402
from yolox_pose.weights import BUNDLED  # noqa: E402

POSE_416 = BUNDLED.config

GUIDE = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()
TABLE = re.compile(r"^(\w+) +(\d+) +(\d+) +(\d+)$", re.MULTILINE)


def commands(tool):
    """Arguments of every line of the guide that calls a tool; continued lines are joined."""
    lines = re.sub(r"\\\n\s+", " ", GUIDE).splitlines()
    return [shlex.split(line)[2:] for line in lines if line.startswith(f"    python {tool} ")]


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    return build(DETECTOR.format("nano")).state_dict()


@pytest.fixture
def folder(tmp_path, monkeypatch, detector):
    """Folder with ``yolox_nano.pth`` as Megvii has it; the working directory."""
    weights = {export_name(key, LAYOUTS["megvii"]): value for key, value in detector.items()}
    torch.save({"start_epoch": 300, "model": weights, "optimizer": {}}, tmp_path / "yolox_nano.pth")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(text):
    return {part: tuple(map(int, counts)) for part, *counts in TABLE.findall(text)}


def test_every_command_of_the_guide(folder, detector, capsys, request):
    pytest.importorskip("safetensors", reason="safetensors is an extra")
    calls = [call for call in commands("tools/convert.py") if not call[0].endswith(".onnx")]
    assert len(calls) == 5
    outputs = []
    for call in calls:
        assert run(main, call) == 0
        outputs.append(capsys.readouterr().out)
    shown = re.search(r"^    (yolox_nano\.pth: Megvii.*?written[^\n]*)$", GUIDE, re.MULTILINE | re.DOTALL)[1]
    assert outputs[0].strip() == re.sub(r"^    ", "", shown, flags=re.MULTILINE)
    for name in ("nano.pth", "nano.safetensors", "nano_mmdet.pth", "legacy.pth"):
        found = read_checkpoint(name)
        assert all(torch.equal(found.weights[key], value) for key, value in detector.items())
    assert read_checkpoint("nano_mmdet.pth").layout.name == "mmdet"
    assert read_checkpoint("legacy.pth").dataset_meta["preprocessing"]["channel_order"] == "rgb"
    assert "person is row 0 of the 80 classes of the file" in outputs[1]
    start = read_checkpoint("start.pth")
    assert start.dataset_meta["classes"] == ["person"]
    assert torch.equal(
        start.weights["head.head_module.out_cls.0.bias"], detector["head.head_module.out_cls.0.bias"][:1]
    )
    assert table(outputs[1])["keypoints"][0] == 0 and table(outputs[1])["keypoints"][1] > 0


@pytest.mark.slow
def test_the_onnx_command_of_the_guide(folder, shared_data, capsys):
    pytest.importorskip("onnx", reason="onnx is an extra")
    (call,) = (call for call in commands("tools/convert.py") if call[0].endswith(".onnx"))
    (folder / "yolox_nano.onnx").symlink_to(shared_data / "weights" / "yolox_nano_coco.onnx")
    (folder / "images").symlink_to(shared_data / "coco_ci32" / "val2017")
    assert run(main, call) == 0
    assert "batch norms measured on 16 images" in capsys.readouterr().out
    assert run(main, ["yolox_nano.onnx", "plain.pth"]) == 0
    assert "without --calibrate" in capsys.readouterr().err or (folder / "plain.pth").exists()


@pytest.mark.parametrize("to", TARGETS)
def test_there_and_back(folder, to, capsys):
    """A pose model through every layout: a detector's loses the keypoint branch, and says so."""
    torch.manual_seed(1)
    weights = build(POSE.format("tiny")).state_dict()
    torch.save({"state_dict": weights, "meta": {}}, "pose.pth")
    assert run(main, ["pose.pth", "there.pth", "--to", to]) == 0
    first = table(capsys.readouterr().out)
    assert run(main, ["there.pth", "back.pth"]) == 0
    content = torch.load("there.pth", weights_only=True)
    assert set(content) == {"meta", LAYOUTS[to].key}
    back = read_checkpoint("back.pth").weights
    kept = {k for k in weights if LAYOUTS[to].keypoints or not re.search(r"conv_pose|out_kpt", k)}
    assert set(back) == kept and all(torch.equal(back[key], weights[key]) for key in kept)
    dropped = {k for k in weights if k not in kept and not k.endswith("num_batches_tracked")}
    assert first.get("keypoints", (0, 0, 0))[2] == len(dropped)


def test_a_small_file_of_a_mean_with_where_it_comes_from(folder, capsys):
    torch.manual_seed(2)
    model = build(POSE.format("nano")).state_dict()
    states = [{k: v + i if v.dim() > 1 else v for k, v in model.items()} for i in range(3)]
    for i, state in enumerate(states):
        content = {"state_dict": state, "meta": {"epoch": i, "dataset_meta": {"classes": ["person"]}}, "optimizer": {}}
        torch.save(content, f"epoch_{i}.pth")
    arguments = ["epoch_0.pth", "small.pth", "--average", "epoch_1.pth", "epoch_2.pth", "--half"]
    assert run(main, [*arguments, "--note", "commit=1a2b3c", "AP=0.25"]) == 0
    assert "mean of 3 files" in capsys.readouterr().out
    content = torch.load("small.pth", weights_only=True)
    assert set(content) == {"meta", "state_dict"} and content["meta"]["notes"] == {"commit": "1a2b3c", "AP": "0.25"}
    assert [file["epoch"] for file in content["meta"]["origin"]["files"]] == [0, 1, 2]
    for key, value in model.items():
        expected = (value.double() + 1).float().half() if value.dim() > 1 else value
        torch.testing.assert_close(content["state_dict"][key], expected, rtol=1e-3, atol=1e-3)
    assert Path("small.pth").stat().st_size < 0.6 * Path("epoch_0.pth").stat().st_size


def test_between_a_fine_tuned_model_and_its_detector_norms_are_measured(folder, capsys):
    make_crowd(folder / "crowd", train=3, val=1)
    arguments = ["bundled", "between.pth", "--interpolate", "yolox_nano.pth", "--weight", "0.25", "--config", POSE_416]
    assert run(main, [*arguments, "--calibrate", "crowd/train"]) == 0
    out = capsys.readouterr().out
    assert "interpolated with yolox_nano.pth, weight 0.25" in out and "batch norms measured on 3 images" in out
    assert "mean of" not in out
    own, other = read_checkpoint(BUNDLED.path).weights, read_checkpoint("yolox_nano.pth").weights
    between = read_checkpoint("between.pth")
    for key, value in between.weights.items():
        if key.endswith(("running_mean", "running_var", "num_batches_tracked")):
            continue
        there = other.get(key)
        if there is not None and "out_cls" in key:
            there = there[:1]  # person
        expected = own[key].float() if there is None else 0.75 * own[key].float() + 0.25 * there
        torch.testing.assert_close(value.float(), expected, rtol=1e-5, atol=1e-6)
    assert [file["file"] for file in torch.load("between.pth", weights_only=True)["meta"]["origin"]["files"]] == [
        BUNDLED.path.name, "yolox_nano.pth",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["yolox_nano.pth", "x.pth", "--note", "AP"], 2, "--note: 'AP' is not of the form KEY=TEXT"),
        (["yolox_nano.pth", "x.pth", "--average", "none.pth"], 2, "checkpoint 'none.pth' does not exist"),
        (["yolox_nano.pth", "x.pth", "--average", "half.pth"], 1, "half.pth holds another model than yolox_nano.pth"),
        (["none.pth", "x.pth"], 2, "checkpoint 'none.pth' does not exist"),
        (["yolox_nano.pth", "x.pth", "--interpolate", "none.pth"], 2, "checkpoint 'none.pth' does not exist"),
        (
            ["yolox_nano.pth", "x.pth", "--interpolate", "yolox_nano.pth", "--weight", "0"],
            2,
            "--weight must be above 0",
        ),
        (["yolox_nano.pth", "x.pth", "--weight", "0.3"], 2, "add --interpolate W"),
        (["bundled", "x.pth", "--interpolate", "half.pth"], 1, "half.pth does not fit the model"),
        (["bundled", "x.pth", "--interpolate", "yolox_nano.pth", "--calibrate", "."], 2, "--calibrate needs --config"),
        (
            ["bundled", "x.pth", "--interpolate", "yolox_nano.pth", "--calibrate", ".", "--config", POSE_416],
            2,
            "no image",
        ),
        (["yolox_nano.pth", "yolox_nano.pth", "--overwrite"], 2, "is the source and is not written to"),
        (["yolox_nano.pth", "there.pth"], 2, "there.pth exists already; choose another name or add --overwrite"),
        (["yolox_nano.pth", "x.npz"], 2, "must end in .pth, .pt or .safetensors"),
        (["yolox_nano.pth", "none/x.pth"], 2, "folder none does not exist"),
        (["yolox_nano.pth", "x.pth", "--calibrate", "."], 2, "--calibrate measures the batch norms of an ONNX file"),
        (["yolox_nano.pth", "x.pth", "--config", "yolox_s_8xb8-300e_coco"], 1, "it is of size nano, the model s"),
        (["yolox_nano.pth", "x.pth", "--config", "none"], 2, "config 'none'"),
        (["yolox_nano.pth", "x.pth", "--to", "mmyolo"], 1, "no depthwise convolutions"),
        (["half.pth", "x.pth", "--config", DETECTOR.format("nano")], 1, "are missing (such as 'neck.reduce_layers"),
        (["text.pth", "x.pth"], 1, "text.pth: not loaded, it is not a PyTorch checkpoint"),
        (["foreign.pth", "x.pth"], 1, "asks for 'pathlib"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(folder, capsys, arguments, code, message):
    (folder / "there.pth").write_text("mine")
    (folder / "text.pth").write_text("hello")
    torch.save({"model": Path("x")}, "foreign.pth")
    weights = torch.load("yolox_nano.pth", weights_only=True)["model"]
    torch.save(
        {"model": {k: v for k, v in weights.items() if k.startswith(("backbone.backbone.", "head."))}}, "half.pth"
    )
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert run(main, arguments) == code
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and message in error
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_overwrite(folder):
    (folder / "there.pth").write_text("mine")
    assert run(main, ["yolox_nano.pth", "there.pth", "--overwrite"]) == 0
    assert read_checkpoint("there.pth").layout.name == "yolox-pose"


def test_help_names_every_option():
    text = build_parser().format_help()
    for option in ("--config", "--to", "--legacy", "--calibrate", "--interpolate", "--weight", "--overwrite", *TARGETS):
        assert option in text


def start(*arguments, cwd):
    """Run a tool in a process of its own; its last line of stderr and everything it printed."""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    command = [sys.executable, str(root / arguments[0]), *map(str, arguments[1:])]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=900)


def coco_options(data, split="val"):
    """Options that test on a shared data set with instances files."""
    file = data / "annotations" / f"instances_{split}2017.json"
    prefix = "test_dataloader.dataset."
    return [f"{prefix}data_root={data}", f"{prefix}ann_file=annotations/{file.name}", f"{prefix}data_prefix.img={split}2017",
            f"test_evaluator.ann_file={file}", "test_dataloader.num_workers=0",
            "test_dataloader.persistent_workers=False"]  # fmt: skip


@pytest.mark.slow
def test_what_the_weights_assume_is_applied_by_the_test_command(folder, shared_data):
    """The real detector, padded as its file implies although the config says otherwise; the threshold can be chosen."""
    (call,) = (call for call in commands("tools/test.py") if "bundled" not in call)
    shutil.copy(shared_data / "weights" / "yolox_nano_coco_mmdet.pth", folder / "yolox_nano.pth")
    options = ["--cfg-options", *coco_options(shared_data / "coco_ci32")]
    done = start("tools/test.py", *call, *options, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    wrong = ["test_dataloader.dataset.pipeline.1.centered=True", "model.test_cfg.score_thr=0.01"]
    again = start("tools/test.py", *call, "--overwrite", *options, *wrong, cwd=folder)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "padding is right and bottom, as the checkpoint was trained" in again.stderr + again.stdout
    assert "padding is" not in done.stderr + done.stdout
    figures = [line for line in done.stdout.splitlines() if line.startswith("coco/")]
    assert figures == [line for line in again.stdout.splitlines() if line.startswith("coco/")]
    assert json.loads((folder / "results" / "metrics.json").read_text())["coco/bbox_mAP"] > 0.15


@pytest.mark.slow
def test_weights_that_do_not_fit_are_one_line_of_the_commands(folder, tmp_path):
    crowd = make_crowd(tmp_path / "crowd", train=2, val=2)
    config = POSE.format("nano")
    for tool, *arguments in (("tools/test.py", config, "yolox_nano.pth"), ("tools/train.py", config.replace("nano", "tiny"),
                              "--load-from", "yolox_nano.pth")):  # fmt: skip
        done = start(tool, *arguments, "--device", "cpu", "--cfg-options", *data_options(crowd), cwd=folder)
        last = done.stderr.strip().splitlines()[-1]
        assert done.returncode == 1 and last.startswith("error: checkpoint yolox_nano.pth does not fit the model"), last
        assert ("its number of classes is 80, the model 1" if "test" in tool else "size nano, the model tiny") in last


@pytest.mark.slow
def test_a_training_starts_from_another_layout(folder, tmp_path):
    crowd = make_crowd(tmp_path / "crowd", train=4, val=2)
    (call,) = (call for call in commands("tools/train.py") if "bundled" not in call)
    settings = ["train_dataloader.batch_size=2", "train_cfg.max_epochs=1", "model.data_preprocessor.random_size=None",
                *(f"{s}_dataloader.{k}" for s in ("train", "val", "test") for k in
                  ("num_workers=0", "persistent_workers=False", "dataset.input_size=96,96"))]  # fmt: skip
    call = ["configs/finetune/yolox-pose_nano_1xb16-30e_custom-416.py" if a == "CONFIG" else a for a in call]
    done = start("tools/train.py", *call, "--no-validate", "--device", "cpu", "--work-dir", "work", "--cfg-options",
                 *data_options(crowd), *settings, "default_hooks.checkpoint.interval=1",
                 "default_hooks.checkpoint.save_best=None", cwd=folder)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    log = done.stdout + done.stderr
    assert "person is row 0 of the 80 classes of the file" in log and "Megvii YOLOX" in log
    assert "size mismatch" not in log and "missing keys" not in log
    assert (folder / "work" / "epoch_1.pth").is_file()


@pytest.mark.slow
def test_the_benchmark_of_the_guide(folder, shared_data):
    pytest.importorskip("onnxruntime", reason="onnxruntime is an extra")
    (call,) = commands("benchmarks/checkpoint_parity.py")
    data = shared_data / "coco_ci32"
    shutil.copy(shared_data / "weights" / "yolox_nano_coco_mmdet.pth", folder / "yolox_nano.pth")
    for name, target in (("yolox_nano.onnx", shared_data / "weights" / "yolox_nano_coco.onnx"), ("val2017", data / "val2017"),
                         ("annotations", data / "annotations")):  # fmt: skip
        (folder / name).symlink_to(target)
    done = start("benchmarks/checkpoint_parity.py", *call, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert all(case["equal"] and case["ours"] > 0.15 for case in found["cases"]) and len(found["cases"]) == 3
