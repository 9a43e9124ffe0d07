"""Compare greedy NMS with mmpose's ``nms_torch``: ``python benchmarks/nms.py [--json FILE]``.

Boxes are drawn from a seed, either spread over the image, where nearly all are kept (the worst case of mmpose's loop), or on
few persons, where few are kept. The kept indices are compared first; both run in turns in one process.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from common import add_json_option, bounded, case, interleaved, progress, report

from yolox_pose import compat
from yolox_pose.geometry.nms import nms

compat.install()

from mmpose.evaluation.functional.nms import nms_torch  # noqa: E402

from yolox_pose.models.postprocess import suppress  # noqa: E402

THRESHOLD, SIDE = 0.65, 640
KINDS = ("spread", "crowded")
PERSONS = 60
"""Number of persons of the crowded case."""
SPEEDUP = 15.0
"""Smallest speedup over ``nms_torch`` from 1,000 boxes on."""


def make_boxes(kind: str, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw boxes (count, 4) and scores that all differ."""
    centers, sizes = rng.uniform(0, SIDE, (count, 2)), rng.uniform(20, 120, (count, 2))
    if kind == "crowded":
        person = rng.integers(0, PERSONS, count)
        centers = centers[person] + rng.normal(0, 4, (count, 2))
        sizes = sizes[person] * rng.uniform(0.85, 1.15, (count, 2))
    boxes = np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=1).astype(np.float32)
    return boxes, rng.permutation(np.linspace(0.01, 1, count)).astype(np.float32)


def measure(kind: str, count: int, repeats: int) -> dict[str, Any]:
    """Compare both on one image."""
    boxes, scores = make_boxes(kind, count, np.random.default_rng(count))
    tensors = torch.from_numpy(boxes), torch.from_numpy(scores)
    kept = nms(boxes, scores, THRESHOLD)
    equal = kept.tolist() == nms_torch(*tensors, THRESHOLD).tolist()
    times = interleaved(
        {"ours": lambda: nms(boxes, scores, THRESHOLD), "peer": lambda: nms_torch(*tensors, THRESHOLD)}, repeats
    )
    name = f"{count:,} boxes, {kind}, {len(kept):,} kept"
    line = case(name, "ms", 1e3 * times["ours"], 1e3 * times["peer"], "mmpose nms_torch", equal=equal)
    return bounded(line, "ratio", at_least=SPEEDUP) if count >= 1000 else line


def measure_batch(images: int, count: int, repeats: int) -> dict[str, Any]:
    """Compare both on a batch that is sorted by score, as in the postprocessing of the model."""
    rng = np.random.default_rng(images)
    drawn = [make_boxes("spread", count, rng) for _ in range(images)]
    drawn = [(boxes[order], scores[order]) for boxes, scores in drawn for order in [np.argsort(-scores)]]
    boxes, scores = (torch.from_numpy(np.stack(parts)) for parts in zip(*drawn))
    labels = torch.zeros(scores.shape, dtype=torch.long)

    def theirs() -> list[torch.Tensor]:
        return [nms_torch(b, s, THRESHOLD) for b, s in zip(boxes, scores)]

    kept = suppress(boxes, scores, THRESHOLD, labels)
    equal = all(row.nonzero()[:, 0].tolist() == peer.tolist() for row, peer in zip(kept, theirs()))
    times = interleaved({"ours": lambda: suppress(boxes, scores, THRESHOLD, labels), "peer": theirs}, repeats)
    name = f"batch of {images}, {count:,} boxes each, spread"
    line = case(name, "ms", 1e3 * times["ours"], 1e3 * times["peer"], "mmpose nms_torch", equal=equal)
    return bounded(line, "ratio", at_least=SPEEDUP)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code, 1 if kept boxes differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[300, 1000, 3000])
    parser.add_argument("--images", type=int, default=8, help="of the batch")
    parser.add_argument("--repeats", type=int, default=9, help="calls of each; the median counts")
    add_json_option(parser)
    args = parser.parse_args(argv)
    plan = [(kind, count) for kind in KINDS for count in args.counts]
    cases = [measure(*item, args.repeats) for item in progress(plan, lambda item: f"{item[1]} boxes, {item[0]}")]
    cases.append(measure_batch(args.images, 1000, max(args.repeats // 3, 1)))
    report("nms", cases, packages=("numpy", "torch", "mmpose"), json_file=args.json)
    return int(any(line["equal"] is False for line in cases))


if __name__ == "__main__":
    raise SystemExit(main())
