"""On a GPU: the same losses, gradients, steps and detections as on the processor."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

import yolox_pose.engine  # noqa: F401
from yolox_pose import PoseInferencer
from yolox_pose.config import find_config
from yolox_pose.geometry.images import read_image
from yolox_pose.registry import MODELS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

SIDE = 128


@pytest.fixture(autouse=True)
def _full_precision(monkeypatch):
    """TensorFloat-32 rounds to 10 bits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def recipe() -> Config:
    """The fine-tuning recipe without random sizes."""
    config = Config.fromfile(find_config("yolox-pose_nano_1xb16-30e_custom-416"))
    config.model.data_preprocessor.random_size = None
    return config


def batch() -> dict:
    """Four images with three people each."""
    generator = torch.Generator().manual_seed(1)
    inputs = [torch.randint(0, 256, (3, SIDE, SIDE), generator=generator, dtype=torch.uint8) for _ in range(4)]
    samples = []
    for _ in inputs:
        corner = torch.rand(3, 2, generator=generator) * SIDE * 0.5
        extent = 30 + torch.rand(3, 2, generator=generator) * 30
        sample = PoseDataSample(metainfo={"img_path": "", "img_shape": (SIDE, SIDE), "input_size": (SIDE, SIDE)})
        sample.gt_instance_labels = InstanceData(
            bboxes=torch.cat([corner, corner + extent], 1),
            labels=torch.zeros(3, dtype=torch.long),
            keypoints=corner[:, None] + extent[:, None] * torch.rand(3, 17, 2, generator=generator),
            keypoints_visible=torch.randint(0, 3, (3, 17), generator=generator, dtype=torch.uint8),
            areas=extent.prod(1) * 0.53,
        )
        samples.append(sample)
    return {"inputs": inputs, "data_samples": samples}


def train(where: str, steps: int) -> tuple[list[dict], dict[str, torch.Tensor]]:
    """Losses of each step and the weights after the last, by the recipe's optimizer."""
    config = recipe()
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("yolox_pose"):
        model = MODELS.build(config.model)
        model.init_weights()
        model.to(where).train()
        wrapper = build_optim_wrapper(model, copy.deepcopy(config.optim_wrapper))
    losses = [model.train_step(copy.deepcopy(batch()), wrapper) for _ in range(steps)]
    return (
        [{name: float(value.detach()) for name, value in step.items()} for step in losses],
        {name: value.detach().cpu() for name, value in model.state_dict().items()},
    )


def test_the_first_steps_of_training_are_those_of_the_processor():
    (on_cpu, cpu_weights), (on_gpu, gpu_weights) = train("cpu", 2), train("cuda", 2)
    assert on_gpu[0] == pytest.approx(on_cpu[0], rel=1e-3, abs=1e-4)
    assert on_gpu[1]["loss"] == pytest.approx(on_cpu[1]["loss"], rel=2e-2)
    for name, value in cpu_weights.items():
        assert torch.isfinite(gpu_weights[name].float()).all(), name
        assert (gpu_weights[name].float() - value.float()).norm() <= 0.02 * value.float().norm() + 1e-3, name


def test_a_step_that_does_not_fit_is_left_out():
    config = recipe()
    with DefaultScope.overwrite_default_scope("yolox_pose"):
        model = MODELS.build(config.model)
        model.to("cuda").train()
        wrapper = build_optim_wrapper(model, config.optim_wrapper)
    before = {name: value.clone() for name, value in model.named_parameters()}
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.full_like(parameter, float("nan"))
    wrapper.optimizer.found_inf = torch.ones((), device="cuda")
    wrapper.optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


@pytest.fixture(scope="module")
def photo(repo_root) -> str:
    """A picture with people that the repository holds."""
    return str(sorted((repo_root / "demo").rglob("*.jpg"))[0])


def test_detections_are_those_of_the_processor(photo):
    on_cpu, on_gpu = (next(PoseInferencer(device=where)(photo)) for where in ("cpu", "cuda"))
    assert len(on_gpu) == len(on_cpu) > 0
    assert np.abs(on_gpu.keypoints - on_cpu.keypoints).max() < 0.05
    assert np.abs(on_gpu.scores - on_cpu.scores).max() < 1e-3


def test_half_precision_finds_the_same_people(photo):
    full, half = (next(PoseInferencer(device="cuda", half=h)(photo)) for h in (False, True))
    assert len(half) == len(full) > 0
    assert np.abs(half.boxes - full.boxes).max() < 0.05 * max(read_image(photo).shape[:2])


def test_a_batch_gives_what_single_images_give(photo):
    image = read_image(photo)
    pictures = [image, image[: image.shape[0] // 2], image[:, ::-1].copy()]
    pose = PoseInferencer(device="cuda")
    together, alone = list(pose(pictures, batch_size=3)), [next(pose(picture)) for picture in pictures]
    assert_same(together, alone)


def test_batches_that_follow_each_other_give_what_the_processor_gives(photo):
    """The next batch is copied and computed while the detections of the one before are chosen, all in streams of their own."""
    image = read_image(photo)
    pictures = [np.roll(image, 16 * shift, axis=1) for shift in range(23)]
    on_cpu, on_gpu = (list(PoseInferencer(device=where)(pictures, batch_size=4)) for where in ("cpu", "cuda"))
    assert sum(map(len, on_gpu)) > 0
    assert_same(on_gpu, on_cpu)


def assert_same(results, others):
    """The same people in each picture."""
    for one, other in zip(results, others, strict=True):
        assert len(one) == len(other)
        assert np.abs(one.keypoints - other.keypoints).max(initial=0) < 0.1
