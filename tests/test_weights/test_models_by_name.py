"""Files of every layout on a server: a name brings the file, its config, its preprocessing, and a model that runs."""

import hashlib
import importlib.util
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.test_checkpoints.checkpoint_models import DETECTOR, POSE, build
from yolox_pose import PoseInferencer
from yolox_pose.checkpoints import LAYOUTS, export_name, read_checkpoint
from yolox_pose.checkpoints.preprocessing import LEGACY
from yolox_pose.cli import run
from yolox_pose.cli.convert import main as convert
from yolox_pose.cli.train import main as train
from yolox_pose.engine.hooks import StartWeightsHook
from yolox_pose.errors import DataError, UsageError
from yolox_pose.models.loading import load_model
from yolox_pose.registry import MODELS
from yolox_pose.weights import find_weights
from yolox_pose.weights.table import TABLE_VARIABLE

LARGE = pytest.mark.slow


def peer(package, path):
    """A model of an installed peer, built by its own code from its own config, with random weights."""
    file = Path(importlib.util.find_spec(package).origin).parent / ".mim" / "configs" / path
    if not file.is_file():
        pytest.skip(f"this {package} has no {path}")
    settings = Config.fromfile(file).model
    settings.backbone.pop("init_cfg", None)
    init_default_scope(package)
    if package == "mmdet":
        from mmdet.registry import MODELS as mmdet_models

        return mmdet_models.build(settings).state_dict()
    return MODELS.build({**settings, "type": "mmpose.BottomupPoseEstimator"}).state_dict()


def renamed(config, layout):
    """Random weights of one of our models under the names of a layout."""
    own = build(config).state_dict()
    names = {key: export_name(key, LAYOUTS[layout]) for key in own}
    return {name: own[key] for key, name in names.items() if name is not None}


def mmpose(size):
    batch = {"tiny": "4xb64-300e_coco-416", "s": "8xb32-300e_coco-640"}[size]
    return {"state_dict": peer("mmpose", f"body_2d_keypoint/yoloxpose/coco/yoloxpose_{size}_{batch}.py")}


def mmdet(size):
    return {"state_dict": peer("mmdet", f"yolox/yolox_{size}_8xb8-300e_coco.py")}


def rtmo():
    return {"state_dict": peer("mmpose", "body_2d_keypoint/rtmo/body7/rtmo-t_8xb32-600e_body7-416x416.py")}


@pytest.fixture
def publish(server, tmp_path, monkeypatch):
    """Put a checkpoint on the server and its row into a second table."""
    rows = ["name\tkind\turl\tfile\tsha256\tconfig\tpreprocessing"]

    def put(name, content, config="", kind="pose", preprocessing="", file="{}-{}.pth"):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        file = file.format(name, digest[:8])
        server.files[f"/{file}"] = buffer.getvalue()
        rows.append("\t".join([name, kind, f"{server.url}/{file}", file, digest, config, preprocessing]))
        (tmp_path / "table.tsv").write_text("\n".join(rows) + "\n")

    monkeypatch.setenv(TABLE_VARIABLE, str(tmp_path / "table.tsv"))
    return put


@pytest.mark.parametrize(
    ("layout", "content", "config", "centered"),
    [
        pytest.param("mmpose", lambda: mmpose("tiny"), POSE.format("tiny"), True, id="mmpose"),
        pytest.param("mmpose", lambda: mmpose("s"), POSE.format("s"), True, id="mmpose-s", marks=LARGE),
        pytest.param("mmdet", lambda: mmdet("tiny"), DETECTOR.format("tiny"), False, id="mmdet"),
        pytest.param(
            "mmyolo", lambda: {"state_dict": renamed(POSE.format("tiny"), "mmyolo")}, POSE.format("tiny"), False,
            id="mmyolo-pose",
        ),
        pytest.param(
            "mmyolo", lambda: {"state_dict": renamed(DETECTOR.format("tiny"), "mmyolo")}, DETECTOR.format("tiny"), False,
            id="mmyolo-detector", marks=LARGE,
        ),
        pytest.param(
            "megvii", lambda: {"model": renamed(DETECTOR.format("nano"), "megvii")}, DETECTOR.format("nano"), False,
            id="megvii",
        ),
        pytest.param(
            "megvii-darknet53", lambda: {"model": renamed(DETECTOR.format("darknet53"), "megvii-darknet53")},
            DETECTOR.format("darknet53"), False, id="megvii-darknet53", marks=LARGE,
        ),
    ],
)  # fmt: skip
def test_a_name_brings_a_model_that_runs(layout, content, config, centered, publish, server):
    publish("x", content(), config)
    pose = PoseInferencer("x", device="cpu", score_thr=0)
    assert pose.preprocessing.centered is centered and pose.preprocessing.size[0] in (416, 640)
    checkpoint = read_checkpoint(find_weights("x"))
    assert checkpoint.layout.name == layout
    assert (pose.skeleton is None) == config.startswith("yolox_")
    if not config.endswith("darknet53"):
        (result,) = pose(np.zeros((64, 64, 3), np.uint8))
        assert result.boxes.shape[1] == 4
    own = load_model("x", device="cpu").state_dict()
    assert all(torch.equal(own[key], value) for key, value in checkpoint.weights.items())
    assert len(server.requests) == 1


def test_megviis_first_release_brings_its_preprocessing(publish, tmp_path):
    weights = {"model": renamed(DETECTOR.format("nano"), "megvii")}
    publish("old", weights, DETECTOR.format("nano"), "detector", "corner-rgb-imagenet", "{}-0.0.1.pth")
    normalization = load_model("old", device="cpu").data_preprocessor.normalization
    assert normalization["bgr_to_rgb"] and normalization["mean"] == pytest.approx(LEGACY["mean"])
    assert normalization["std"] == pytest.approx(LEGACY["std"])
    assert run(convert, ["old", str(tmp_path / "new.pth")]) == 0
    assert read_checkpoint(tmp_path / "new.pth").dataset_meta["preprocessing"]["channel_order"] == "rgb"
    model = load_model(tmp_path / "new.pth", device="cpu")
    assert model.data_preprocessor.normalization == normalization, "the copy is a model on its own"


def test_the_detector_of_a_tracker_is_taken_without_its_prefix(publish, tmp_path):
    detector = renamed(DETECTOR.format("nano"), "mmdet")
    tracker = {f"detector.{key}": value for key, value in detector.items()} | {"reid.head.weight": torch.zeros(3)}
    publish("track", {"state_dict": tracker}, DETECTOR.format("nano"), "detector")
    checkpoint = read_checkpoint(find_weights("track"))
    assert checkpoint.layout.name == "mmdet" and len(checkpoint.weights) == len(detector)
    assert checkpoint.constants == ("reid.head.weight",)
    assert load_model("track", device="cpu").head.num_classes == 80


def start_run(size, path):
    dataset = SimpleNamespace(metainfo={"classes": ["person"]})
    return SimpleNamespace(
        model=build(POSE.format(size)), _resume=False, _load_from=str(path), cfg={},
        train_dataloader=SimpleNamespace(dataset=dataset),
    )  # fmt: skip


def test_a_detector_of_80_classes_starts_a_pose_model(publish):
    content = {"state_dict": renamed(DETECTOR.format("nano"), "mmdet")}
    publish("art", content, DETECTOR.format("nano"), "detector", file="yolox_nano_8xb8-300e_humanart-{1}.pth")
    path = find_weights("art")
    run_, loaded = start_run("nano", path), torch.load(path, weights_only=True)
    StartWeightsHook().after_load_checkpoint(run_, loaded)
    person = content["state_dict"]["bbox_head.multi_level_conv_cls.0.weight"][0]
    assert torch.equal(loaded["state_dict"]["head.head_module.out_cls.0.weight"][0], person)


def test_rtmo_is_recognized_and_its_backbone_starts_a_pose_model(publish, tmp_path):
    content = rtmo()
    publish("rt", content, kind="rtmo")
    torch.save(content, tmp_path / "somewhere.pth")
    with pytest.raises(UsageError, match=r"rt is RTMO.*--only backbone"):
        PoseInferencer("rt", device="cpu")
    with pytest.raises(DataError, match=r"somewhere.pth: these are weights of RTMO.*--only backbone"):
        load_model(POSE.format("tiny"), tmp_path / "somewhere.pth", device="cpu")

    run_ = start_run("tiny", tmp_path / "somewhere.pth")
    new = {key: value.clone() for key, value in run_.model.state_dict().items()}
    loaded = torch.load(tmp_path / "somewhere.pth", weights_only=True)
    StartWeightsHook(only="backbone").after_load_checkpoint(run_, loaded)
    for key, value in loaded["state_dict"].items():
        source = content["state_dict"] if key.startswith("backbone.") else new
        assert torch.equal(value, source[key]), key
    with pytest.raises(UsageError, match="only must be 'backbone' or None"):
        StartWeightsHook(only="head")


def test_only_needs_weights_and_leaves_no_detector(capsys, tmp_path):
    config = "yolox-pose_nano_1xb16-30e_custom-416"
    (tmp_path / "w.pth").touch()
    for words, message in (
        ([], "--only backbone names a part of --load-from W"),
        (["--load-from", str(tmp_path / "w.pth"), "--distill"], "--only backbone leaves no detector to distill"),
        (["--load-from", str(tmp_path / "w.pth"), "--freeze-detector"], "--only backbone leaves none"),
        (["--load-from", "rtmo"], "did you mean rtmo-"),
    ):
        assert run(train, [config, "--device", "cpu", "--only", "backbone", *words]) == 2
        assert message in capsys.readouterr().err
