"""Compare a training step with mmpose's built-in YOLOX-Pose: same size, batch, precision, images and people.

``python benchmarks/train_step.py [--sizes nano tiny s] [--amp] [--device cuda] [--json FILE]``. A step is preprocessing,
forward, assignment, losses, backward, gradient clipping and AdamW, with the settings of each recipe but without multi-scale
resizing. Both run in turns. Losses are printed but not compared, because weights are random and people without keypoints
are treated differently. A second row of each size measures a step that trains the keypoint branch only
(``--freeze-detector``). The report has the parts of the step, and on a GPU the peak memory at the batch of mmyolo's README.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from common import ROOT, add_json_option, case, device, interleaved, progress, report

from yolox_pose import compat

PEER_FILE = ROOT / "benchmarks" / "peers" / "mmpose_yoloxpose_nano.py"
PEER = "mmpose 1.3.2 yoloxpose"
WIDTHS = {"nano": 0.25, "tiny": 0.375, "s": 0.5}
MEMORY = (("tiny", 416, 5.3), ("s", 640, 10.7), ("m", 640, 19.2))
"""Size, input and GB that mmyolo's README states for a batch of 32 with AMP."""
MEMORY_BATCH = 32


def our_model(size: str, **settings: Any) -> tuple[Any, Any]:
    """Build the model of this package without random batch sizes; return it with the config of its optimizer."""
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    from yolox_pose.config import find_config
    from yolox_pose.registry import MODELS

    config = Config.fromfile(find_config(f"yolox-pose_{size}_8xb32-300e_coco"))
    config.model.data_preprocessor.random_size = None
    with DefaultScope.overwrite_default_scope("yolox_pose"):
        return _started(MODELS.build({**config.model, **settings}), config.optim_wrapper)


def their_model(size: str) -> tuple[Any, Any]:
    """Build the model of mmpose of the same size; only its backbone and neck have a depthwise form."""
    from mmengine.config import Config
    from mmengine.registry import DefaultScope
    from mmpose.registry import MODELS

    config, width = Config.fromfile(PEER_FILE), WIDTHS[size]
    depthwise, channels = size == "nano", [int(side * width) for side in (256, 512, 1024)]
    config.model.backbone.update(widen_factor=width, use_depthwise=depthwise)
    config.model.neck.update(in_channels=channels, out_channels=channels[0], use_depthwise=depthwise)
    config.model.head.head_module_cfg.widen_factor = width
    with DefaultScope.overwrite_default_scope("mmpose"):
        return _started(MODELS.build(config.model), config.optim_wrapper)


def _started(model: Any, optim_wrapper: Any) -> tuple[Any, Any]:
    """Initialize the weights of the model; return it with the config of its optimizer."""
    torch.manual_seed(0)
    logging.disable(logging.INFO)  # MMEngine lists every parameter
    with contextlib.redirect_stdout(io.StringIO()):
        model.init_weights()
    logging.disable(logging.NOTSET)
    return model, optim_wrapper


def make_batch(images: int, side: int, people: int, ours: bool) -> dict[str, Any]:
    """Draw images and people from a seed, in the fields that a side reads."""
    from mmengine.structures import InstanceData
    from mmpose.structures import PoseDataSample

    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randint(0, 256, (3, side, side), generator=generator, dtype=torch.uint8) for _ in range(images)]
    samples = []
    for _ in inputs:
        corner, extent = (torch.rand(people, 2, generator=generator) * side * share for share in (0.6, 0.3))
        extent = extent + side * 0.1
        keypoints = corner[:, None] + extent[:, None] * torch.rand(people, 17, 2, generator=generator)
        visible = (torch.rand(people, 17, generator=generator) < 0.7).float()
        visible[:, 0] = 1
        sample = PoseDataSample(metainfo={"img_path": "", "img_shape": (side, side), "input_size": (side, side)})
        labels = {
            "bboxes": torch.cat([corner, corner + extent], 1), "labels": torch.zeros(people, dtype=torch.long),
            "keypoints": keypoints, "keypoints_visible": visible, "areas": extent.prod(1) * 0.53,
        }  # fmt: skip
        if ours:
            labels["keypoints_visible"] = (visible * 2).to(torch.uint8)
        sample.gt_instance_labels = InstanceData(**labels)
        samples.append(sample)
    return {"inputs": inputs, "data_samples": samples}


def training(side: str, size: str, args: argparse.Namespace, images: int, pixels: int) -> Callable[[], float]:
    """Return a call that runs one step and returns its loss."""
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import DefaultScope

    import yolox_pose.engine  # noqa: F401

    if side == "peer":
        model, config = their_model(size)
    else:
        model, config = our_model(size, compile=args.compile, freeze_detector=side == "frozen")
    model.to(args.device).train()
    config = copy.deepcopy(config)
    if args.amp:
        config.update(type="AmpOptimWrapper", dtype="bfloat16" if args.device == "cpu" else "float16")
    with DefaultScope.overwrite_default_scope("mmpose" if side == "peer" else "yolox_pose"):
        wrapper = build_optim_wrapper(model, config)
    batch = make_batch(images, pixels, args.people, side != "peer")

    def step() -> float:
        outputs = model.train_step(copy.deepcopy(batch), wrapper)
        _wait(args.device)
        return float(outputs["loss"])

    step.model, step.batch, step.wrapper = model, batch, wrapper  # type: ignore[attr-defined]
    return step


def _wait(where: str) -> None:
    if where != "cpu":
        torch.cuda.synchronize()


class Marks(dict):
    """Milliseconds between consecutive marks."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where, self.start = where, time.perf_counter()

    def set(self, name: str) -> None:
        """End a part."""
        _wait(self.where)
        self[name], self.start = (time.perf_counter() - self.start) * 1e3, time.perf_counter()


def breakdown(step: Any, args: argparse.Namespace) -> dict[str, float]:
    """Return the median milliseconds of each part of the step."""
    _timed_parts(step, args)
    rows = [_timed_parts(step, args) for _ in range(args.repeats)]
    return {name: round(statistics.median(row[name] for row in rows), 2) for name in rows[0]}


def _timed_parts(step: Any, args: argparse.Namespace) -> Marks:
    """Time one step part by part; the assignment runs once alone and once with the losses."""
    from yolox_pose.models.targets import collect_targets
    from yolox_pose.ops import grid_priors

    model, wrapper, marks = step.model, step.wrapper, Marks(args.device)
    data = model.data_preprocessor(copy.deepcopy(step.batch), True)
    marks.set("preprocess")
    with wrapper.optim_context(model):
        predictions = model.head(model.extract_feat(data["inputs"]))
        marks.set("forward")
        priors = grid_priors([(args.pixels // s, args.pixels // s) for s in model.head.strides], model.head.strides)
        priors = priors.to(args.device)
        targets = collect_targets(data["data_samples"], priors, model.head.num_keypoints)
        model.head.assign(predictions, priors, targets)
        marks.set("assign")
        losses = model.head.loss(predictions, priors, data["data_samples"])
    marks.set("assign again and loss")
    wrapper.backward(wrapper.scale_loss(sum(value for key, value in losses.items() if "loss" in key)))
    marks.set("backward")
    wrapper.step()
    wrapper.zero_grad()
    marks.set("clip and optimizer")
    return marks


def measure(size: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure both sides in turns, the parts of the step, and the step with a frozen detector."""
    steps = {side: training(side, size, args, args.batch, args.pixels) for side in ("ours", "peer", "frozen")}
    losses = {side: round(step(), 3) for side, step in steps.items()}
    times = interleaved(steps, args.repeats)
    precision = ("bf16" if args.device == "cpu" else "fp16") if args.amp else "float32"
    name = f"{size}, {args.batch} images of {args.pixels} px, {args.people} people each, {precision}"
    parts = breakdown(steps["ours"], args)
    first = {side: losses[side] for side in ("ours", "peer")}
    return [
        case(name, "s", times["ours"], times["peer"], PEER, first_losses=first, parts_ms=parts),
        case(f"{name}, detector frozen", "s", times["frozen"], times["ours"], "our whole step"),
    ]


def memory_cases(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Compare the peak GPU memory with the values that mmyolo states; without a GPU the rows say "not run"."""
    cases = []
    for size, pixels, stated in MEMORY:
        name = f"GPU: peak memory, {size}, {MEMORY_BATCH} images of {pixels} px, AMP"
        if args.device == "cpu":
            cases.append({"case": name, "unit": "GB", "peer": stated, "peer_name": "mmyolo README", "note": "not run"})
            continue
        amp = argparse.Namespace(**{**vars(args), "amp": True})
        step = training("ours", size, amp, MEMORY_BATCH, pixels)
        torch.cuda.reset_peak_memory_stats()
        for _ in range(3):
            step()
        peak = torch.cuda.max_memory_allocated() / 1e9
        cases.append(case(name, "GB", peak, stated, "mmyolo README"))
    return cases


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=list(WIDTHS), default=list(WIDTHS))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--pixels", type=int, default=320, help="side of the images")
    parser.add_argument("--people", type=int, default=5, help="in every image")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--amp", action="store_true", help="fp16 on a GPU, bf16 on CPU, on both sides")
    parser.add_argument("--compile", action="store_true", help="compile our network")
    add_json_option(parser)
    args = parser.parse_args(argv)
    compat.install()
    import yolox_pose.registry  # noqa: F401

    warnings.filterwarnings("ignore")
    cases = [line for size in progress(args.sizes) for line in measure(size, args)]
    if args.device == "cpu":
        cases += [{"case": f"GPU: {size}", "unit": "s", "note": "not run"} for size in args.sizes]
    cases += memory_cases(args)
    packages = ("torch", "mmengine", "mmdet", "mmpose")
    report("train_step", cases, packages=packages, json_file=args.json, on=device(args.device != "cpu"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
