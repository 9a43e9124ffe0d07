"""Latency of exported models on the processor: torch, onnxruntime, OpenVINO and ncnn, whole call and network alone.

``python benchmarks/export.py [--sizes nano tiny s] [--inputs 416 640] [--compile] [--int8 DIR] [--json FILE]``. Batch 1, one
decoded model a size with random weights whose batch norms are measured and whose biases give many detections; the graph of
every backend is checked against torch first (`tools/export.py` refuses to write what differs). All run in turns in one process,
with as many threads each. The peer of the whole call is `PoseInferencer` on the config, that of the network alone the model in
eager mode, its norms not folded; `ratio` above 1 means that the exported model is faster. Where rtmlib is installed (``pip install --no-deps rtmlib``), what its YOLOX class does with
the outputs of a detector is compared with ours on the same outputs.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from common import add_json_option, case, interleaved, progress, report

CONFIG = "yolox-pose_{}_8xb32-300e_coco"
THREADS = 2
SETTINGS = {"score_thr": 0.3}
BACKENDS = {"onnxruntime": "onnx", "openvino": "openvino", "ncnn": "ncnn"}
"""Backend and the format that it is given."""


def make_checkpoint(size: str, side: int, folder: Path) -> tuple[Any, Path]:
    """Config and random weights of a pose model with a square input, which find some tens of people."""
    import torch

    from yolox_pose.cli.common import load_config
    from yolox_pose.registry import MODELS

    config = load_config(CONFIG.format(size))
    config.test_dataloader.dataset.input_size = (side, side)
    torch.manual_seed(0)
    model: Any = MODELS.build(config.model)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train().head(model.extract_feat(_clouds(torch, 2, side)))
    for name, layers in model.eval().head.head_module.named_children():
        if name.startswith("out_"):
            for layer in layers:
                layer.weight.data *= 0.02
                layer.bias.data.fill_(0.2 if name in ("out_cls", "out_obj") else 0.0)
    path = folder / f"{size}_{side}.pth"
    torch.save({"meta": {}, "state_dict": model.state_dict()}, path)
    return config, path


def _clouds(torch: Any, count: int, side: int) -> Any:
    """(count, 3, side, side) smooth random images, 0 to 255."""
    parts = (torch.rand(count, 3, n, n) * 85 for n in (3, 12, 48))
    return sum(torch.nn.functional.interpolate(part, size=(side, side), mode="bilinear") for part in parts)


def _picture(side: int) -> np.ndarray:
    """A photograph's worth of pixels that has to be letterboxed."""
    import cv2

    coarse = np.random.default_rng(0).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    return cv2.resize(coarse, (side * 3 // 2, side * 9 // 8), interpolation=cv2.INTER_CUBIC)


def exported_models(config: Any, checkpoint: Path, folder: Path, args: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """Name and loaded model of each backend that is installed; each was compared with torch when it was written."""
    from yolox_pose.export.exporting import export_model
    from yolox_pose.export.options import FORMATS, ExportOptions
    from yolox_pose.runtime import load

    wanted = [(name, ExportOptions(target)) for name, target in BACKENDS.items()]
    if args.int8:
        wanted.append(("openvino int8", ExportOptions("openvino", calibration=args.int8)))
    for name, options in wanted:
        modules = (*FORMATS[options.format].modules, *(("nncf",) if options.calibration else ()))
        if not all(find_spec(module) for module in modules):
            continue
        done = export_model(config, checkpoint, folder / name.replace(" ", "-"), options)
        yield name, load(done.model, threads=THREADS, score_threshold=SETTINGS["score_thr"])


def measure(size: str, side: int, folder: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Whole call and network alone of one model on one input size."""
    import torch

    from yolox_pose import PoseInferencer
    from yolox_pose.apis.model_io import load_model

    config, checkpoint = make_checkpoint(size, side, folder)
    models = dict(exported_models(config, checkpoint, folder / f"{size}-{side}", args))
    eager = PoseInferencer(config, checkpoint, device="cpu", score_threshold=SETTINGS["score_thr"])
    picture = _picture(side)
    batch = torch.rand(1, 3, side, side) * 255
    network: Any = load_model(config, checkpoint, "cpu")

    def run_torch(module: Callable[[Any], Any]) -> Callable[[], Any]:
        def call() -> Any:
            with torch.inference_mode():
                return module(batch)

        return call

    def forward(images: Any) -> Any:
        return network.head(network.extract_feat(images))

    calls: dict[str, Callable[[], Any]] = {"torch eager": lambda: list(eager(picture))}
    alone: dict[str, Callable[[], Any]] = {"torch eager": run_torch(forward)}
    if args.compile:
        alone["torch compiled"] = run_torch(torch.compile(forward))
    for name, model in models.items():
        calls[name] = lambda model=model: list(model(picture))
        alone[name] = lambda model=model: model.network.backend(batch.numpy())
    wanted, lines = calls["torch eager"]()[0], []
    for what, functions in (("whole call", calls), ("network alone", alone)):
        times = interleaved(functions, args.repeats, warmup=2)
        for name in functions:
            if name == "torch eager":
                continue
            equal = None if name in ("openvino int8", "torch compiled") else _same(wanted, calls[name]()[0])
            label = f"{what}, {size} at {side}, {name}"
            lines.append(
                case(
                    label,
                    "ms",
                    times[name] * 1e3,
                    times["torch eager"] * 1e3,
                    "torch eager",
                    equal=equal,
                    found=len(wanted),
                )
            )
    return lines


def _same(first: Any, second: Any) -> bool:
    """Whether detections are equal within 0.05 px and 0.001 of score."""
    if len(first) != len(second):
        return False
    pairs = (
        (first.boxes, second.boxes, 0.05),
        (first.keypoints, second.keypoints, 0.05),
        (first.scores, second.scores, 1e-3),
    )
    return all(np.allclose(a, b, rtol=0, atol=tolerance) for a, b, tolerance in pairs)


def measure_rtmlib(args: argparse.Namespace) -> list[dict[str, Any]]:
    """What happens after a detector's network: rtmlib's YOLOX class against ours, on the same outputs of 3,549 priors."""
    if not find_spec("rtmlib"):
        return []
    from importlib import metadata

    from rtmlib.tools.object_detection.yolox import YOLOX

    from yolox_pose.runtime.decoding import Thresholds, detections, grid_priors
    from yolox_pose.runtime.description import ModelDescription

    rng = np.random.default_rng(0)
    priors = grid_priors((416, 416), (8, 16, 32))
    n = len(priors)
    logits = rng.normal(-6, 2, (1, n, 85)).astype(np.float32)  # 4 of the box, objectness, 80 classes
    logits[..., :4] = rng.normal(0, 0.5, (1, n, 4)) + [0, 0, 1.0, 1.5]
    logits[..., 4:6] = rng.normal(-2, 3, (1, n, 2))
    with_scores = logits.copy()  # the graphs that rtmlib takes end in the sigmoid
    with_scores[..., 4:] = 1 / (1 + np.exp(-logits[..., 4:]))
    theirs = YOLOX.__new__(YOLOX)  # the class without its network, which it would download
    theirs.model_input_size, theirs.nms_thr, theirs.score_thr, theirs.det_mode = (416, 416), 0.65, 0.3, "multiclass"
    description = ModelDescription("onnx", "raw", (416, 416), (), tuple(f"c{i}" for i in range(80)))
    thresholds = Thresholds(0.3, 3000, 0.65, 300)

    def ours() -> np.ndarray:
        fresh = logits.copy()
        outputs = {"boxes": fresh[..., :4], "objectness": fresh[..., 4], "classes": fresh[..., 5:]}
        return detections(outputs, 0, priors, description, thresholds).boxes

    def peer() -> np.ndarray:
        return np.asarray(theirs.postprocess(with_scores.copy(), 1.0)[0])  # it decodes in place

    mine, other = ours(), peer().reshape(-1, 4)
    # rtmlib's overlaps count a pixel more at each side (as old detectors did), so a few boxes more or less are kept
    common = sum(bool(np.abs(other - box).max(-1).min(initial=np.inf) < 0.05) for box in mine)
    times = interleaved({"ours": ours, "peer": peer}, args.repeats, warmup=1)
    name = f"rtmlib {metadata.version('rtmlib')}"
    return [
        case(
            f"after the network, {n} priors, 80 classes",
            "ms",
            times["ours"] * 1e3,
            times["peer"] * 1e3,
            name,
            equal=len(mine) == len(other) == common,
            boxes_ours=len(mine),
            boxes_peer=len(other),
            boxes_in_common=common,
        )
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns its exit code, 1 if results differ from torch's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["nano", "tiny"], choices=("nano", "tiny", "s", "m", "l", "x"))
    parser.add_argument("--inputs", nargs="+", type=int, default=[416], help="sides in pixels (default: 416)")
    parser.add_argument("--repeats", type=int, default=15, help="calls of each; the median counts")
    parser.add_argument("--compile", action="store_true", help="also torch.compile, which takes minutes a model")
    parser.add_argument("--int8", type=Path, metavar="DIR", help="also OpenVINO int8, calibrated on these images")
    add_json_option(parser)
    args = parser.parse_args(argv)
    import torch

    torch.set_num_threads(THREADS)
    pairs = [(size, side) for side in args.inputs for size in args.sizes]
    with tempfile.TemporaryDirectory() as folder:
        cases = [
            line
            for size, side in progress(pairs, lambda pair: f"{pair[0]} at {pair[1]}")
            for line in measure(size, side, Path(folder), args)
        ]
    against_torch = list(cases)
    cases += measure_rtmlib(args)
    packages = ("torch", "onnxruntime", "openvino", "nncf", "ncnn", "rtmlib", "numpy", "opencv-python-headless")
    report("export", cases, packages=packages, json_file=args.json, threads=THREADS)
    return int(any(line["equal"] is False for line in against_torch))


if __name__ == "__main__":
    raise SystemExit(main())
