"""What makes training fast must not change what is trained."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import convert_sync_batchnorm
from mmengine.runner import Runner
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.crowds import data_options, make_crowd
from tests.test_models.models_common import build_model, losses_of, make_batch
from yolox_pose.config import find_config  # noqa: E402
from yolox_pose.engine.optim import YOLOXPoseOptimConstructor  # noqa: E402
from yolox_pose.models import head
from yolox_pose.structures.phase import TrainingPhase

SYNCHRONISING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique")
"""Operators of ATen whose result depends on values that the host has to wait for."""


class HostWaits(TorchDispatchMode):
    """Counts operators for which the host would wait for a GPU."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.split(".")[0]
        by_mask = name in ("index", "index_put", "index_put_") and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if name in SYNCHRONISING or name.startswith("unique") or by_mask:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def nano():
    return build_model("nano")


def small(**changes):
    """A model of its own, which a test may train."""
    return build_model("nano", seed=1, **changes)


def gradient(model, batch):
    model.zero_grad()
    losses = losses_of(model, batch, training=model.training)
    sum(losses.values()).backward()
    return losses, torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("use_l1", [False, True])
@pytest.mark.parametrize("counts", [(3, 0, 1), (0, 0), (12, 5)], ids=str)
def test_a_step_waits_for_the_device_once_at_most(nano, monkeypatch, counts, use_l1):
    monkeypatch.setattr(head, "check_labels", lambda *args: None)  # looks at CPU tensors alone
    monkeypatch.setattr(nano.head, "phase", TrainingPhase(final_epoch=0 if use_l1 else None))
    data = nano.data_preprocessor(make_batch(counts, crowd=(0, 0, 40, 40)), True)
    with torch.no_grad():
        features = nano.extract_feat(data["inputs"])
    features = [feature.requires_grad_() for feature in features]
    with HostWaits() as waits:
        losses = nano.head.loss(nano.head(features), nano.head.priors(features), data["data_samples"])
        sum(losses.values()).backward()
    assert waits.found in ([], ["_local_scalar_dense"])


def test_the_counter_sees_what_waits():
    with HostWaits() as waits:
        x = torch.ones(3)
        float(x.sum())
        x[x > 0].sum()
        (x > 0).nonzero()
    assert waits.found == ["_local_scalar_dense", "index", "nonzero"]


class WaitsOfIterations(Hook):
    """Notes what :class:`HostWaits` found in each iteration: the step and all hooks but those that run later."""

    priority = "LOWEST"

    def __init__(self, waits):
        self.waits, self.iterations = waits, []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.waits.found = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.iterations.append(list(self.waits.found))


def waits_of_training(tmp_path, iterations, **ema):
    """Waits in each iteration of a run of a shipped config with all of its hooks."""
    data = make_crowd(tmp_path / "data", train=2 * iterations)
    config = Config.fromfile(find_config("yolox-pose_quickstart_160"))
    words = dict(option.split("=") for option in data_options(data))
    config.merge_from_dict({**words, "train_dataloader.batch_size": 2, "train_cfg.max_epochs": 1,
                            "default_hooks.checkpoint": None, "work_dir": str(tmp_path / "work"),
                            "train_dataloader.dataset.input_size": (64, 64)})  # fmt: skip
    config.val_dataloader = config.val_evaluator = config.val_cfg = None
    config.test_dataloader = config.test_evaluator = config.test_cfg = None
    hooks = {hook["type"]: hook for hook in config.custom_hooks}
    hooks["EMAHook"].update(ema)
    config.custom_hooks = [
        hook for name, hook in hooks.items() if name != "yolox_pose.ProgressBarHook"
    ]  # reads by the clock
    runner = Runner.from_cfg(config)
    hook = WaitsOfIterations(HostWaits())
    runner.register_hook(hook)
    with hook.waits, pytest.MonkeyPatch.context() as patch:
        patch.setattr(head, "check_labels", lambda *args: None)  # looks at CPU tensors alone
        runner.train()
    assert len(hook.iterations) == iterations
    return hook.iterations


@pytest.mark.slow
def test_whole_iterations_with_all_hooks_wait_once_except_where_the_log_is_due(tmp_path):
    """Loader, step, clipping, optimizer, average, schedule and log; every tenth iteration reads the norm of the gradient,
    the loss and the number of skipped steps."""
    iterations = waits_of_training(tmp_path, 11)
    first, *others = iterations
    assert len(first) <= 2  # the average reads its counter once
    for number, found in enumerate(others, 2):
        assert found in ([], ["_local_scalar_dense"]) if number % 10 else len(found) <= 4, (number, found)


@pytest.mark.slow
def test_the_average_of_mmpose_waits_for_every_tensor(tmp_path):
    """What the test above guards against: without our class it fails by hundreds."""
    found = waits_of_training(tmp_path, 2, ema_type="mmpose.ExpMomentumEMA")
    assert len(found[-1]) > 100


@pytest.mark.parametrize("size", [1, 2, 4])
def test_gradients_of_parts_are_those_of_the_whole_batch(nano, monkeypatch, size):
    """Uneven numbers of people and keypoints, an image without anybody, a last part that is smaller."""
    nano.eval()
    batch = make_batch((7, 0, 1, 2, 4), labelled=0.5)
    losses, whole = gradient(nano, batch)
    monkeypatch.setattr(nano, "micro_batch", size)
    in_parts, parts = gradient(nano, batch)
    for key, value in losses.items():
        assert in_parts[key].item() == pytest.approx(value.item(), rel=1e-5)
    assert torch.allclose(parts, whole, rtol=1e-4, atol=1e-5 * whole.abs().max().item())


def test_parts_count_once_in_the_running_statistics(monkeypatch):
    first, second = small(), small()
    monkeypatch.setattr(second, "micro_batch", 1)
    batch = make_batch((2, 1))
    for model, halves in ((first, True), (second, False)):
        model.train()
        if halves:
            for i in range(2):
                losses_of(model, {key: values[i : i + 1] for key, values in batch.items()})
        else:
            sum(losses_of(model, batch).values()).backward()
    for (name, one), other in zip(first.named_buffers(), second.buffers()):
        if "running" in name:
            assert torch.allclose(one, other, rtol=1e-4, atol=1e-5), name


def test_batch_norm_over_processes_replaces_every_layer_and_nothing_else(nano):
    """What MMEngine does for ``sync_bn=torch``. Averaging over processes needs GPUs and is not run here."""
    nano.eval()
    converted = convert_sync_batchnorm(copy.deepcopy(nano), "torch")
    norms = [name for name, layer in nano.named_modules() if isinstance(layer, nn.BatchNorm2d)]
    assert norms == [name for name, layer in converted.named_modules() if isinstance(layer, nn.SyncBatchNorm)]
    assert len(norms) > 50 and not any(isinstance(layer, nn.BatchNorm2d) for layer in converted.modules())
    state = converted.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in nano.state_dict().items())
    batch = make_batch((2, 1))
    with torch.no_grad():
        assert losses_of(converted, batch, training=False) == losses_of(nano, batch, training=False)
    config = {"type": "OptimWrapper", "optimizer": {"type": "AdamW", "lr": 0.1, "weight_decay": 0.5}}
    sizes = [
        [len(g["params"]) for g in YOLOXPoseOptimConstructor(config, {"norm_decay_mult": 0})(m).optimizer.param_groups]
        for m in (nano, converted)
    ]
    assert sizes[0] == sizes[1] and len(sizes[0]) == 2  # they count as norms: no weight decay


def test_micro_batch_must_be_positive():
    with pytest.raises(ValueError, match="micro_batch must be at least 1, not 0"):
        small(estimator={"micro_batch": 0})


@pytest.mark.slow
def test_compiled_for_all_sizes_at_most_twice():
    """Once for the first size, once more for sizes in general: not again for each size of the multi-scale training."""
    from torch._dynamo.testing import CompileCounter

    torch._dynamo.reset()
    model, counter = small(), CompileCounter()
    model._train_network = torch.compile(model._network, backend=counter, dynamic=True)
    plain = small()
    for size in (64, 96, 128, 160, 192):
        batch = make_batch((2, 1), size=size)
        model.eval(), plain.eval()
        with torch.no_grad():
            ours, expected = (losses_of(m, batch, training=False) for m in (model, plain))
        assert ours == {key: pytest.approx(value.item(), rel=1e-4) for key, value in expected.items()}
    assert 1 <= counter.frame_count <= 2
    torch._dynamo.reset()


def losses_over_training(options, disturbance=0.0, seed=0, steps=8):
    """Losses of a short training, the plain way or with every speed option, from weights that are disturbed a little."""
    model = small(preprocessor={"channels_last": options})
    if options:
        model.micro_batch = 8  # in one part: batch norm sees the same images
    else:
        model.to(memory_format=torch.contiguous_format)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + disturbance * torch.randn(parameter.shape, generator=generator))
    optimizer = {"type": "AdamW", "lr": 1e-3, "weight_decay": 0.05, "fused": options}
    config = {"type": "OptimWrapper", "optimizer": optimizer, "clip_grad": {"max_norm": 10.0}}
    wrapper, losses = YOLOXPoseOptimConstructor(config, {"norm_decay_mult": 0})(model), []
    for step in range(steps):
        model.train()
        batch = model.data_preprocessor(copy.deepcopy(make_batch((3, 1, 0, 5), seed=step % 2)), True)
        loss = sum(model(**batch, mode="loss").values())
        wrapper.update_params(loss)
        losses.append(loss.item())
    return torch.tensor(losses)


@pytest.mark.slow
def test_training_with_every_option_reaches_the_losses_of_the_plain_path():
    """The first loss to 1e-5; later ones as close as those of plain trainings whose weights start 1e-6 apart.

    Layouts and kernels add in another order, and the assignment of a prior to a person is all or nothing, so that the
    smallest difference grows. The spread of four disturbed plain trainings says by how much.
    """
    plain, fast = losses_over_training(False), losses_over_training(True)
    disturbed = torch.stack([losses_over_training(False, 1e-6, seed) for seed in range(4)])
    spread = (disturbed - plain).abs().amax()
    assert fast[0].item() == pytest.approx(plain[0].item(), rel=1e-5)
    assert (fast - plain).abs().amax() <= 2 * spread, (plain, fast, disturbed)
    assert spread < 0.05 * plain.amin()  # else the comparison would say nothing
    assert fast[-1] < fast[0]
