"""Measure the average precision of exports: each format and precision in the runtime, against torch.

``python benchmarks/export_ap.py CONFIG CHECKPOINT ANN.json IMAGES [--exports onnx openvino-int8 ...] [--calibrate DIR]
[--json FILE]``. It measures keypoint AP of models with keypoints and box AP of detectors, on all images of a COCO file, with
the score threshold of the model. ``ours`` is the AP of the export, ``peer`` that of torch; ``equal`` tells whether they differ
by at most ``limit``: 0.001 for float32, 0.003 for float16, 0.02 for int8 weights. The report is written after every export.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import add_json_option, case, progress, report

if TYPE_CHECKING:
    from yolox_pose.export.options import ExportOptions
    from yolox_pose.inference.inferencer import PoseInferencer

LIMITS = {"fp32": 0.001, "fp16": 0.003, "int8": 0.02}
"""Largest difference of AP by precision."""

EXPORTS = ("onnx", "onnx-fp16", "openvino", "openvino-fp16", "openvino-int8", "ncnn", "ncnn-fp16")
PACKAGES = ("torch", "onnxruntime", "openvino", "nncf", "ncnn", "numpy", "opencv-python-headless", "hotcoco")


def average_precision(pose: PoseInferencer, annotations: Path, images: Path) -> float:
    """Return the keypoint AP of a model with keypoints, or the box AP of a detector.

    Args:
        pose: Inferencer; its classes are matched with the category names of the file.
        annotations: COCO file.
        images: Folder of its images.
    """
    from yolox_pose.coco.ground_truth import GroundTruth
    from yolox_pose.evaluation.coco_eval import evaluate_boxes, evaluate_keypoints

    truth = GroundTruth.load(annotations)
    evaluate, name = (evaluate_boxes, "bbox_mAP") if pose.skeleton is None else (evaluate_keypoints, "AP")
    categories = truth.ids_of_classes(pose.classes)
    entries: list[dict[str, Any]] = []
    for result in pose([images / file for file in truth.ids_by_file_name], skip_unreadable=False):
        entries += result.to_coco(truth.ids_by_file_name[str(result.name)], categories)
    return evaluate(truth, entries)[name]


def read_export(name: str, calibration: Path | None) -> ExportOptions:
    """Return the options of one of :data:`EXPORTS`."""
    from yolox_pose.export.options import ExportOptions

    target, _, precision = name.partition("-")
    return ExportOptions(target, half=precision == "fp16", calibration=calibration if precision == "int8" else None)


def is_possible(name: str) -> bool:
    """Tell whether the packages of an export are installed."""
    from yolox_pose.export.options import FORMATS

    target, _, precision = name.partition("-")
    return all(find_spec(module) for module in (*FORMATS[target].modules, *(("nncf",) if precision == "int8" else ())))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code, 1 if an export exceeds its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="config file, or the name of a config of this package")
    parser.add_argument("checkpoint", type=Path, help="its weights")
    parser.add_argument("annotations", type=Path, help="COCO file")
    parser.add_argument("images", type=Path, help="folder of its images")
    parser.add_argument(
        "--exports", nargs="+", default=EXPORTS, choices=EXPORTS, help="default: those that are installed"
    )
    parser.add_argument("--calibrate", type=Path, metavar="DIR", help="images for int8; without, int8 is left out")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of a call (default: the runtimes' own)")
    add_json_option(parser)
    args = parser.parse_args(argv)
    names = [name for name in args.exports if is_possible(name) and (args.calibrate or not name.endswith("int8"))]
    return int(not all(line["equal"] for line in compare(args, names)))


def compare(args: argparse.Namespace, names: Sequence[str]) -> list[dict[str, Any]]:
    """Measure some exports and write the report after each."""
    import torch

    from yolox_pose import PoseInferencer
    from yolox_pose.export.exporting import export_model
    from yolox_pose.runtime import load

    if args.threads:
        torch.set_num_threads(args.threads)
    pose = PoseInferencer(args.config, args.checkpoint, device="cpu", batch_size=1)
    pose.settings["score_thr"] = pose.network.test_cfg["score_thr"]
    kind = "box AP" if pose.skeleton is None else "keypoint AP"
    reference, lines = average_precision(pose, args.annotations, args.images), []
    with tempfile.TemporaryDirectory() as folder:
        for name in progress(names):
            done = export_model(args.config, args.checkpoint, Path(folder) / name, read_export(name, args.calibrate))
            threshold, limit = done.description.postprocess.score_thr, LIMITS[done.description.precision]
            model = load(done.model, score_thr=threshold, threads=args.threads, batch_size=1)
            found = average_precision(model, args.annotations, args.images)
            label = f"{kind} of {Path(args.config).stem}, {name}"
            near = abs(found - reference) <= limit
            lines.append(case(label, "AP", found, reference, "torch", equal=near, higher_is_better=True, limit=limit))
            lines[-1]["size_bytes"] = sum(file.stat().st_size for file in done.files if file.suffix != ".json")
            report("export_ap", lines, packages=PACKAGES, json_file=args.json, annotations=args.annotations.name)
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
