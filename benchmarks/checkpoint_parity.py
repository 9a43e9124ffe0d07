"""Compare the box AP of weights from other layouts with the ONNX file of the same network in onnxruntime.

``python benchmarks/checkpoint_parity.py --onnx FILE --weights FILE --images DIR --annotations FILE [--json FILE]``. Images,
letterboxed pixels and postprocessing are the same; only the networks differ. ``equal`` means that AP differs by at most
:data:`TOLERANCE` and every raw output by at most :data:`OUTPUT_TOLERANCE`. Cases: the weights as they are, a copy in
Megvii's layout, and the ONNX file, imported with batch norms measured on the first images.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from common import add_json_option, case, progress, report

from yolox_pose.checkpoints.conversion import convert
from yolox_pose.checkpoints.onnx_detector import DETECTOR_CONFIG
from yolox_pose.coco.ground_truth import GroundTruth
from yolox_pose.coco.results import Predictions
from yolox_pose.evaluation.coco_eval import evaluate_boxes
from yolox_pose.geometry.images import read_image
from yolox_pose.geometry.letterbox import Letterbox, fit_letterbox, letterbox_image
from yolox_pose.geometry.nms import nms
from yolox_pose.models.loading import load_model

SCORE_THRESHOLD, NMS_THRESHOLD, MAX_DETECTIONS = 0.001, 0.65, 300
TOLERANCE, OUTPUT_TOLERANCE = 0.002, 1e-3
CALIBRATION_IMAGES = 32
STRIDES = (8, 16, 32)


def grid(size: tuple[int, int]) -> np.ndarray:
    """Return the priors (N, 3) of a canvas: x, y and stride."""
    parts = []
    for stride in STRIDES:
        y, x = np.mgrid[: size[1] // stride, : size[0] // stride]
        parts.append(np.stack([x.ravel() * stride, y.ravel() * stride, np.full(x.size, stride)], 1))
    return np.concatenate(parts).astype(np.float64)


def postprocess(outputs: np.ndarray, priors: np.ndarray, letterbox: Letterbox) -> tuple[np.ndarray, ...]:
    """Return boxes, scores and labels from raw boxes, objectness and class probabilities of shape (N, 5 + C)."""
    scores = outputs[:, 4:5] * outputs[:, 5:]
    labels = scores.argmax(1)
    scores = scores.max(1)
    kept = scores > SCORE_THRESHOLD
    raw, prior, scores, labels = outputs[kept, :4].astype(np.float64), priors[kept], scores[kept], labels[kept]
    center, half = raw[:, :2] * prior[:, 2:] + prior[:, :2], np.exp(raw[:, 2:]) * prior[:, 2:] / 2
    boxes = np.concatenate([center - half, center + half], 1)
    best = nms(boxes, scores, NMS_THRESHOLD, labels)[:MAX_DETECTIONS]
    return letterbox.inverse_boxes(boxes[best], clip=True), scores[best], labels[best]


def canvases(truth: GroundTruth, images: Path, size: tuple[int, int]) -> Iterator[tuple[int, Letterbox, np.ndarray]]:
    """Yield image id, letterbox and (1, 3, H, W) float32 pixels of every image, padded right and bottom."""
    files = {path.stem: path for path in images.iterdir()}
    for image_id in progress(truth.image_ids.tolist(), lambda i: f"image {i}"):
        img = read_image(files[f"{image_id:012d}"])
        letterbox = fit_letterbox(img.shape[1::-1], size, centered=False)
        canvas = letterbox_image(img, letterbox)
        yield image_id, letterbox, canvas.transpose(2, 0, 1)[None].astype(np.float32)


@torch.no_grad()
def run_ours(model: Any, pixels: np.ndarray) -> np.ndarray:
    """Return the outputs (N, 5 + C) in the layout of the ONNX file."""
    outputs = model.head(model.extract_feat(torch.from_numpy(pixels)))
    parts = (outputs.boxes, outputs.objectness[..., None].sigmoid(), outputs.classes.sigmoid())
    return torch.cat(parts, -1)[0].numpy()


def convert_copies(args: argparse.Namespace, folder: Path) -> dict[str, Path]:
    """Return the files whose AP is measured, by case."""
    samples = folder / "calibration"
    samples.mkdir()
    for path in sorted(args.images.iterdir())[:CALIBRATION_IMAGES]:
        (samples / path.name).symlink_to(path.resolve())
    copies = {
        "weights as they are": args.weights,
        "Megvii's layout": folder / "megvii.pth",
        "ONNX import": folder / "onnx.pth",
    }
    convert(args.weights, copies["Megvii's layout"], to="megvii")
    with contextlib.redirect_stderr(io.StringIO()):
        convert(args.onnx, copies["ONNX import"], images=samples)
    return copies


def measure(args: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Return the cases with the largest difference of a raw output."""
    session = onnxruntime.InferenceSession(str(args.onnx), providers=["CPUExecutionProvider"])
    value = session.get_inputs()[0]
    size = value.shape[3], value.shape[2]
    truth, priors = GroundTruth.load(args.annotations), grid(size)
    category_ids = np.array(sorted(truth.categories))
    with tempfile.TemporaryDirectory() as folder:
        models = {
            n: load_model(DETECTOR_CONFIG.format(args.size), p, "cpu")
            for n, p in convert_copies(args, Path(folder)).items()
        }
    found: dict[str, list] = {name: [] for name in ("", *models)}
    largest = dict.fromkeys(models, 0.0)
    for image_id, letterbox, pixels in canvases(truth, args.images, size):
        outputs = {"": session.run(None, {value.name: pixels})[0][0]}
        outputs |= {name: run_ours(model, pixels) for name, model in models.items()}
        for name, raw in outputs.items():
            boxes, scores, labels = postprocess(raw, priors, letterbox)
            found[name].append((np.full(len(boxes), image_id), category_ids[labels], scores, boxes))
            if name:
                largest[name] = max(largest[name], float(np.abs(raw - outputs[""]).max()))
    precision = {}
    for name, parts in found.items():
        ids, categories, scores, boxes = (np.concatenate(column) for column in zip(*parts))
        precision[name] = evaluate_boxes(truth, Predictions(ids, categories, scores, boxes=boxes))["bbox_mAP"]
    peer = f"onnxruntime {onnxruntime.__version__}"
    cases = [
        case(
            f"box AP, {len(truth.image_ids)} images, {size[0]} px: {name}",
            "AP",
            precision[name],
            precision[""],
            peer,
            equal=abs(precision[name] - precision[""]) <= TOLERANCE and largest[name] <= OUTPUT_TOLERANCE,
            higher_is_better=True,
        )
        for name in models
    ]
    return cases, largest


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code, 1 if a case disagrees."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onnx", type=Path, required=True, metavar="FILE", help="ONNX file of a YOLOX detector")
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE", help="its weights, of any layout")
    parser.add_argument("--size", default="nano", help="model size (default: nano)")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="COCO images")
    parser.add_argument("--annotations", type=Path, required=True, metavar="FILE", help="their instances file")
    add_json_option(parser)
    args = parser.parse_args(argv)
    cases, largest = measure(args)
    report(
        "checkpoint_parity",
        cases,
        packages=("torch", "onnxruntime", "onnx", "numpy", "hotcoco"),
        json_file=args.json,
        largest_output_difference={name: float(f"{value:.3g}") for name, value in largest.items()},
        tolerance={"AP": TOLERANCE, "raw output": OUTPUT_TOLERANCE},
    )
    return int(any(not line["equal"] for line in cases))


if __name__ == "__main__":
    raise SystemExit(main())
