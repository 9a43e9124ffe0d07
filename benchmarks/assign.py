"""Compare target assignment for the whole batch with mmpose's ``SimOTAAssigner``, which works image by image.

``python benchmarks/assign.py [--device cuda] [--json FILE]``. Both sides get the same tensors.
Predictions are drawn near the instances, as in the middle of a training, at 640 px: 8,400 priors per image. The containers
of mmpose are built outside the measured time. The results are compared first. The last case is the memory above the inputs,
measured in a separate process. Without a GPU its rows say "not run".
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from common import add_json_option, case, device, interleaved, progress, report, seconds
from torch import Tensor

from yolox_pose import compat
from yolox_pose.ops import Assignment, DecodedOutputs, KeypointTargets, SimOTASettings, Targets, grid_priors, simota

STRIDES, SIZE, COCO_KEYPOINTS, WHOLE_BODY = (8, 16, 32), 640, 17, 133
PEER = "mmpose 1.3.2 SimOTAAssigner"
MIN_AGREEMENT = 0.999
"""Smallest fraction of priors with the same instance. The others are ties, and costs that mmpose's 1e5 rounds to 0.008."""
MEMORY_LIMIT = 1.5
"""Largest memory above the inputs in GB, for 32 images of 60 instances."""


def make_batch(images: int, instances: int, keypoints: int, where: str, seed: int = 0) -> dict[str, Any]:
    """Build tensors for :func:`assign`: people of 20 to 400 px, predictions with an error of a tenth of the size."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    priors = grid_priors([(SIZE // s, SIZE // s) for s in STRIDES], STRIDES)
    size = (torch.tensor([20.0, 20.0]).log() + rand(images, instances, 2) * torch.tensor(20.0).log()).exp()
    corner = rand(images, instances, 2) * (SIZE - size)
    boxes = torch.cat([corner, corner + size], -1)
    points = corner[:, :, None] + size[:, :, None] * rand(images, instances, keypoints, 2)
    labeled = rand(images, instances, keypoints) > 0.3
    labeled[..., 0] = True  # mmpose has no rule for people without labeled keypoints
    near = _nearest(priors, boxes)
    scale = size.gather(1, near[..., None].expand(-1, -1, 2)) * 0.1
    noise = torch.randn(images, len(priors), keypoints + 2, 2, generator=generator)
    pred_boxes = boxes.gather(1, near[..., None].expand(-1, -1, 4)) + (noise[:, :, :2] * scale[:, :, None]).flatten(2)
    pred_boxes[..., 2:] = torch.maximum(pred_boxes[..., 2:], pred_boxes[..., :2] + 1)
    rows = torch.arange(images)[:, None]
    batch = {
        "priors": priors,
        "pred_boxes": pred_boxes,
        "class_logits": torch.randn(images, len(priors), 1, generator=generator),
        "objectness_logits": torch.randn(images, len(priors), generator=generator),
        "boxes": boxes,
        "labels": torch.zeros(images, instances, dtype=torch.long),
        "valid": torch.ones(images, instances, dtype=torch.bool),
        "pred_keypoints": points[rows, near] + noise[:, :, 2:] * scale[:, :, None],
        "keypoints": points,
        "labeled": labeled,
        "areas": size.prod(-1) * 0.53,
        "sigmas": torch.full((keypoints,), 0.07),
    }
    return {key: value.to(where) for key, value in batch.items()}


def assign(batch: dict[str, Any], settings: SimOTASettings = SimOTASettings()) -> Assignment:
    """Call :func:`yolox_pose.ops.simota` with the tensors of :func:`make_batch`."""
    outputs = DecodedOutputs(
        batch["class_logits"], batch["objectness_logits"], batch["pred_boxes"], batch["pred_keypoints"]
    )
    pose = KeypointTargets(batch["keypoints"], batch["labeled"].to(torch.uint8), batch["areas"])
    targets = Targets(batch["boxes"], batch["labels"], batch["valid"], pose)
    return simota(outputs, targets, batch["priors"], sigmas=batch["sigmas"], settings=settings)


def _nearest(priors: Tensor, boxes: Tensor) -> Tensor:
    """Return the index (B, N) of the box whose center is nearest to each prior."""
    centers = (boxes[..., :2] + boxes[..., 2:]) / 2
    return torch.cdist(priors[None, :, :2].expand(len(boxes), -1, -1), centers).argmin(-1)


class Peer:
    """Assigner of mmpose with the same settings, applied to a batch of :func:`make_batch`."""

    def __init__(self, batch: dict[str, Any], settings: SimOTASettings) -> None:
        from mmengine.structures import InstanceData
        from mmpose.models.task_modules.assigners import SimOTAAssigner

        self.assigner = SimOTAAssigner(
            center_radius=settings.center_radius, candidate_topk=settings.top_k, iou_weight=settings.iou_weight,
            cls_weight=settings.class_weight, oks_weight=settings.oks_weight, dynamic_k_indicator=settings.dynamic_k,
            iou_calculator={"type": "mmpose.BBoxOverlaps2D"}, oks_calculator={"type": "mmpose.PoseOKS", "metainfo": None},
        )  # fmt: skip
        self.assigner.oks_calculator.sigmas = batch["sigmas"]
        scores = batch["class_logits"].sigmoid() * batch["objectness_logits"].sigmoid()[..., None]
        priors = torch.cat([batch["priors"], batch["priors"][:, 2:]], 1)
        visible = batch["pred_keypoints"].new_ones(batch["pred_keypoints"].shape[1:3])
        self.images = [
            (
                InstanceData(
                    bboxes=batch["pred_boxes"][i], scores=scores[i].sqrt(), priors=priors,
                    keypoints=batch["pred_keypoints"][i], keypoints_visible=visible,
                ),
                InstanceData(
                    bboxes=batch["boxes"][i], labels=batch["labels"][i], keypoints=batch["keypoints"][i],
                    keypoints_visible=batch["labeled"][i].float(), areas=batch["areas"][i],
                ),
            )
            for i in range(len(scores))
        ]  # fmt: skip

    def __call__(self) -> list[dict[str, Any]]:
        """Assign every image."""
        return [self.assigner.assign(*pair) for pair in self.images]


def agreement(ours: Assignment, theirs: Sequence[dict[str, Any]]) -> float:
    """Return the fraction of positive priors, on either side, with the same instance and overlap on both."""
    instance = torch.stack([result["gt_inds"] - 1 for result in theirs])
    overlap = torch.stack([result["max_overlaps"] for result in theirs])
    positive = (ours.instance >= 0) | (instance >= 0)
    same = (ours.instance == instance) & torch.isclose(ours.overlap, overlap, atol=1e-4)
    return float(same[positive].float().mean())


def against_peer(images: int, instances: int, keypoints: int, args: argparse.Namespace) -> dict[str, Any]:
    """Compare the results of both sides, then measure both in turns."""
    settings = SimOTASettings()
    batch = make_batch(images, instances, keypoints, args.device)
    peer = Peer(batch, settings)

    def ours() -> Assignment:
        assignment = assign(batch, settings)
        _wait(args.device)
        return assignment

    def theirs() -> list[dict[str, Any]]:
        results = peer()
        _wait(args.device)
        return results

    same = agreement(ours(), theirs())
    times = interleaved({"ours": ours, "peer": theirs}, args.repeats, warmup=0)
    name = _name(images, instances, keypoints)
    return case(name, "s", times["ours"], times["peer"], PEER, equal=same >= MIN_AGREEMENT, agreement=round(same, 6))


def growth(images: int, instances: int, keypoints: int, args: argparse.Namespace) -> dict[str, Any]:
    """Measure the time of this package for one size."""
    batch = make_batch(images, instances, keypoints, args.device)

    def ours() -> None:
        assign(batch)
        _wait(args.device)

    return case(f"growth: {_name(images, instances, keypoints)}", "s", seconds(ours, args.repeats))


def _name(images: int, instances: int, keypoints: int) -> str:
    return f"{images} images of {instances} instances, {keypoints} keypoints"


def _wait(where: str) -> None:
    if where != "cpu":
        torch.cuda.synchronize()


def peak_memory(images: int, instances: int, keypoints: int, where: str) -> float:
    """Return the peak memory of one call above its inputs in GB: counted by the GPU, or by the growth of the process."""
    batch = make_batch(images, instances, keypoints, where)
    if where != "cpu":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        assign(batch)
        return (torch.cuda.max_memory_allocated() - before) / 1e9
    status = Path("/proc/self/clear_refs")
    status.write_text("5")  # the peak starts again from here
    before = _resident("VmRSS")
    assign(batch)
    return (_resident("VmHWM") - before) / 1e6


def _resident(field: str) -> int:
    """Return a memory field of this process in kB, as Linux reports it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def memory_case(where: str) -> dict[str, Any]:
    """Measure the peak memory for 32 images of 60 instances in a separate process."""
    command = [sys.executable, __file__, "--peak-memory", "--device", where]
    peak = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    name = f"peak memory above the inputs, {_name(32, 60, COCO_KEYPOINTS)}"
    return case(name, "GB", peak, limit=MEMORY_LIMIT, within_limit=peak <= MEMORY_LIMIT)


def not_run(device_name: str = "GPU") -> list[dict[str, Any]]:
    """Return the rows of a device that is absent."""
    names = (_name(32, 10, COCO_KEYPOINTS), _name(32, 60, COCO_KEYPOINTS))
    return [{"case": f"{device_name}: {name}", "unit": "s", "note": "not run"} for name in names]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code, 1 if results differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--instances", type=int, nargs="+", default=[10, 60])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-growth", action="store_true", help="leave the cases of growing size out")
    parser.add_argument("--peak-memory", action="store_true", help=argparse.SUPPRESS)
    add_json_option(parser)
    args = parser.parse_args(argv)
    if args.peak_memory:
        print(peak_memory(32, 60, COCO_KEYPOINTS, args.device))
        return 0
    compat.install()
    import yolox_pose.registry  # noqa: F401

    warnings.filterwarnings("ignore", category=FutureWarning)
    sizes = [(args.images, instances, COCO_KEYPOINTS) for instances in args.instances]
    cases = [against_peer(*size, args) for size in progress(sizes, lambda size: _name(*size))]
    if not args.no_growth:
        larger = [
            (8, 10, 17),
            (16, 10, 17),
            (64, 10, 17),
            (32, 5, 17),
            (32, 20, 17),
            (32, 40, 17),
            (32, 10, WHOLE_BODY),
        ]
        cases += [growth(*size, args) for size in progress(larger, lambda size: _name(*size))]
        cases.append(memory_case(args.device))
    if args.device == "cpu":
        cases += not_run()
    packages = ("torch", "mmpose")
    report("assign", cases, packages=packages, json_file=args.json, on=device(args.device != "cpu"))
    return int(any(line.get("equal") is False for line in cases))


if __name__ == "__main__":
    raise SystemExit(main())
