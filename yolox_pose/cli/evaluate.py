"""Evaluate a predictions file without torch or a model: ``yolox-pose evaluate`` and ``tools/evaluate.py``."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from yolox_pose.coco.ground_truth import GroundTruth
from yolox_pose.coco.results import Predictions, metrics_table, write_metrics
from yolox_pose.errors import DataError, UsageError
from yolox_pose.evaluation.coco_eval import evaluate_boxes, evaluate_keypoints, keypoint_sigmas
from yolox_pose.utils.text import counted

EXAMPLES = """examples:
  yolox-pose evaluate person_keypoints_val2017.json results/predictions.json
  yolox-pose evaluate instances_val2017.json results/predictions_bbox.json --json box_ap.json
  yolox-pose evaluate person_keypoints_val2017.json results/predictions_bbox.json --at 0.2 0.3 0.5
  yolox-pose evaluate crowdpose_test.json predictions.json --sigmas .079 .079 .072 .072 .062 .062 .107 .107 .087 .087 \\
      .089 .089 .079 .079
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="yolox-pose evaluate",
        description="Compute COCO keypoint AP or box AP of a predictions file in COCO results format.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("annotations", help="annotation file in COCO format")
    parser.add_argument("predictions", help="predictions file in COCO results format, as yolox-pose test writes it")
    parser.add_argument(
        "--kind",
        choices=("auto", "keypoints", "bbox"),
        default="auto",
        help="evaluate keypoints or boxes (default: keypoints where the predictions have them, else boxes)",
    )
    parser.add_argument(
        "--sigmas",
        nargs="+",
        type=float,
        metavar="S",
        help="OKS sigma of each keypoint (default: COCO's for 17 keypoints, else 1/K)",
    )
    parser.add_argument(
        "--at",
        nargs="+",
        type=float,
        default=[],
        metavar="S",
        help="also print precision and recall of the detections from these scores on, to choose a score threshold by",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the metrics to a file")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Raises:
        UsageError: If an input file does not exist, or the output file does.
        DataError: If a file cannot be used.
    """
    args = build_parser().parse_args(argv)
    # Check the paths
    for path, role in ((args.annotations, "annotation file"), (args.predictions, "predictions file")):
        if not Path(path).is_file():
            raise UsageError(f"{role} not found: {path}")
    if args.json is not None and args.json.exists() and not args.overwrite:
        raise UsageError(f"{args.json} exists; name another file or give --overwrite")

    # Evaluate, with warnings as lines on stderr
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        metrics = {f"coco/{name}": value for name, value in _evaluate(args).items()}
    for warning in caught:
        print(f"warning: {warning.message}", file=sys.stderr)

    # Print and write the metrics
    print(metrics_table(metrics))
    if args.json is not None:
        print(f"written: {write_metrics(args.json, metrics)}")
    return 0


def _evaluate(args: argparse.Namespace) -> dict[str, float]:
    """Compute the metrics of the kind that was chosen, or that the predictions have."""
    truth, predictions = GroundTruth.load(args.annotations), Predictions.load(args.predictions)
    kind = args.kind
    if kind == "auto":
        kind = "bbox" if predictions.keypoints is None and predictions.boxes is not None else "keypoints"
    counts = ((predictions.scores, "detections"), (truth.image_ids, "images"), (truth.ann_ids, "annotations"))
    print(", ".join(counted(len(items), nouns) for items, nouns in counts))
    if kind == "bbox":
        return evaluate_boxes(truth, predictions, at=args.at)
    sigmas = keypoint_sigmas(truth, args.sigmas)
    if truth.num_keypoints not in (None, len(sigmas)):
        raise DataError(
            f"{truth.name}: annotations have {truth.num_keypoints} keypoints, --sigmas {len(sigmas)} numbers"
        )
    print("OKS sigmas: " + " ".join(f"{sigma:.4g}" for sigma in sigmas))
    return evaluate_keypoints(truth, predictions, sigmas=sigmas, at=args.at)
