"""What a training starts from: any layout becomes the model's, and what it assumes of its input is kept."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader  # noqa: E402

from tests.test_checkpoints.checkpoint_models import DETECTOR, POSE, build
from yolox_pose.checkpoints import LAYOUTS, export_name, write_checkpoint  # noqa: E402
from yolox_pose.checkpoints.preprocessing import LEGACY  # noqa: E402
from yolox_pose.engine.hooks import StartWeightsHook  # noqa: E402
from yolox_pose.errors import DataError  # noqa: E402


@pytest.fixture(scope="module")
def megvii():
    """Weights of a detector of two classes, named as Megvii's."""
    weights = build(DETECTOR.format("nano"), num_classes=2).state_dict()
    return {export_name(key, LAYOUTS["megvii"]): value for key, value in weights.items()}


def runner(size="nano", resume=False, classes=("person",)):
    dataset = SimpleNamespace(metainfo={"classes": list(classes)})
    loader = SimpleNamespace(dataset=dataset)
    model = build(POSE.format(size), num_classes=len(classes))
    return SimpleNamespace(model=model, _resume=resume, _load_from="start.pth", train_dataloader=loader, cfg={})


def test_a_detector_of_another_layout_starts_a_pose_model(megvii):
    run, content = (
        runner(),
        {"start_epoch": 3, "model": dict(megvii), "meta": {"dataset_meta": {"classes": ["dog", "person"]}}},
    )
    StartWeightsHook().after_load_checkpoint(run, content)
    assert list(content) == ["state_dict"]
    run.model.load_state_dict(content["state_dict"])  # strict: nothing is missing for the EMA model either
    head = run.model.head.head_module
    assert torch.equal(head.out_cls[1].weight[0], megvii["head.cls_preds.1.weight"][1])
    assert torch.equal(head.out_bbox[0].bias, megvii["head.reg_preds.0.bias"])
    assert run.model.data_preprocessor.normalization == {"bgr_to_rgb": False, "mean": None, "std": None}


def test_normalisation_goes_from_the_weights_into_the_run_and_its_checkpoints(megvii):
    run, hook = runner(), StartWeightsHook()
    hook.after_load_checkpoint(run, {"model": megvii, "meta": {"dataset_meta": {"preprocessing": dict(LEGACY)}}})
    preprocessor = run.model.data_preprocessor
    assert preprocessor.bgr_to_rgb and preprocessor.normalizes
    batch = preprocessor(
        {
            "inputs": [
                torch.full((3, 32, 32), 10, dtype=torch.uint8)
                * torch.tensor([1, 2, 3], dtype=torch.uint8)[:, None, None]
            ]
        }
    )
    expected = (torch.tensor([30.0, 20.0, 10.0]) - torch.tensor(LEGACY["mean"])) / torch.tensor(LEGACY["std"])
    assert torch.allclose(batch["inputs"][0, :, 5, 5], expected, atol=1e-5)
    saved = {"meta": {"dataset_meta": {"preprocessing": {"centered": True}}}}
    hook.before_save_checkpoint(run, saved)
    stored = saved["meta"]["dataset_meta"]["preprocessing"]
    assert stored["centered"] is True and stored["channel_order"] == "rgb"
    assert stored["mean"] == pytest.approx(LEGACY["mean"]) and stored["std"] == pytest.approx(LEGACY["std"])
    resumed = runner(resume=True)
    hook.after_load_checkpoint(resumed, saved)
    assert resumed.model.data_preprocessor.normalization == preprocessor.normalization


def test_an_ordinary_run_writes_nothing_of_it():
    saved = {"meta": {}}
    StartWeightsHook().before_save_checkpoint(runner(), saved)
    assert saved == {"meta": {}}


def test_weights_of_another_width_are_refused(megvii):
    with pytest.raises(DataError, match="checkpoint start.pth does not fit.*it is of size nano, the model tiny"):
        StartWeightsHook().after_load_checkpoint(runner("tiny"), {"model": megvii})


def test_mmengine_reads_safetensors(tmp_path):
    pytest.importorskip("safetensors", reason="safetensors is an extra")
    weights = {"backbone.stem.conv.conv.weight": torch.rand(16, 12, 3, 3)}
    write_checkpoint(tmp_path / "w.safetensors", weights, {"dataset_meta": {"classes": ["a"]}})
    content = CheckpointLoader.load_checkpoint(str(tmp_path / "w.safetensors"), map_location="cpu")
    assert content["meta"] == {"dataset_meta": {"classes": ["a"]}}
    assert torch.equal(content["state_dict"]["backbone.stem.conv.conv.weight"], *weights.values())


@pytest.mark.parametrize("source, factor, warned", [(POSE, 30, 1), (POSE, 1, 0), (DETECTOR, 30, 0)])
def test_a_learned_keypoint_branch_at_the_rate_of_a_new_one_is_told(source, factor, warned):
    run, said = runner(), []
    run.cfg = {"optim_wrapper": {"paramwise_cfg": {"pose_lr_mult": factor}}}
    run.logger = SimpleNamespace(warning=said.append)
    start = build(source.format("nano"), num_classes=1)
    StartWeightsHook().after_load_checkpoint(run, {"state_dict": start.state_dict()})
    assert len(said) == warned
    assert all("pose_lr_mult=1 keeps more" in line for line in said)
