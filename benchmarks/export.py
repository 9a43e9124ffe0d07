"""Measure the latency of exported models on the CPU: torch, onnxruntime, OpenVINO (float32, int8) and ncnn.

``python benchmarks/export.py [--sizes nano tiny s] [--inputs 416 640] [--no-compile] [--json FILE]``. The batch size is 1. Weights
are random, with measured batch norms and biases that give some tens of people; latency does not depend on them. The export
compares each float32 graph with torch. All run in turns in one process, with the same number of threads.

- *network alone*: the peer is the trained model in eager mode, with unfolded norms.
- *whole call*, from pixels to results: the peer is ``PoseInferencer`` on the config, norms folded, channels last.
- *stem*: the slices of the stem (Focus) against the 6x6 convolution that is exported instead.
- *detector*: rtmlib's YOLOX class (``pip install --no-deps rtmlib``) and this runtime with the same network in onnxruntime;
  ``--detector`` and ``--picture`` name weights and a photograph.

``ratio`` above 1 means that the exported model is faster. With ``--json`` the report is written after every model,
and a stopped run continues after the models that FILE holds.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from common import add_json_option, bounded, case, interleaved, progress, report, versions

CONFIG, DETECTOR = "yolox-pose_{}_8xb32-300e_coco", "yolox_nano_8xb8-300e_coco"
SCORE, FOUND = 0.3, 30
PAUSE = 0.02
"""Seconds between calls, because the threads of onnxruntime and torch spin for some milliseconds."""

BOUNDS = {("nano", 416): 1.5, ("tiny", 416): 1.5, ("s", 640): 1.15}
"""Smallest speedup of the fastest float32 backend over eager torch."""

PACKAGES = ("torch", "onnxruntime", "openvino", "nncf", "ncnn", "rtmlib", "numpy", "opencv-python-headless")


def make_checkpoint(name: str, side: int, folder: Path) -> tuple[Any, Path]:
    """Return the config of a model with a square input, and random weights that detect about :data:`FOUND` objects."""
    import torch

    from yolox_pose.config import load_config
    from yolox_pose.registry import MODELS

    config = load_config(name)
    config.test_dataloader.dataset.input_size = (side, side)
    torch.manual_seed(0)
    model: Any = MODELS.build(config.model)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train().head(model.extract_feat(_clouds(torch, 2, side)))
    heads: dict[str, Any] = dict(model.eval().head.head_module.named_children())
    for layer_name, layers in heads.items():
        if layer_name.startswith("out_"):
            for layer in layers:
                layer.weight.data *= 0.2 if layer_name == "out_obj" else 0.02
                layer.bias.data.fill_(4.0 if layer_name == "out_cls" else 0.0)
    canvas = torch.from_numpy(_canvas(side)).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        objectness = model.head(model.extract_feat(canvas)).objectness.flatten()
    edge = objectness.sort(descending=True).values[2 * FOUND]  # NMS takes some
    for layer in heads["out_obj"]:
        layer.bias.data -= edge - math.log(SCORE / (1 - SCORE))
    path = folder / f"{name}_{side}.pth"
    torch.save({"meta": {}, "state_dict": model.state_dict()}, path)
    return config, path


def _clouds(torch: Any, count: int, side: int) -> Any:
    """Draw smooth random images of shape (count, 3, side, side), 0 to 255."""
    parts = (torch.rand(count, 3, n, n) * 85 for n in (3, 12, 48))
    return sum(torch.nn.functional.interpolate(part, size=(side, side), mode="bilinear") for part in parts)


def _picture(side: int) -> np.ndarray:
    """Draw a picture that needs a letterbox."""
    import cv2

    coarse = np.random.default_rng(0).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    return cv2.resize(coarse, (side * 3 // 2, side * 9 // 8), interpolation=cv2.INTER_CUBIC)


def _canvas(side: int) -> np.ndarray:
    """Return the picture in a square canvas."""
    from yolox_pose.geometry.letterbox import fit_letterbox, letterbox_image

    picture = _picture(side)
    return letterbox_image(picture, fit_letterbox(picture.shape[1::-1], (side, side)))


def write_int8(config: Any, checkpoint: Path, folder: Path) -> Path:
    """Write the int8 graph of OpenVINO, calibrated on drawn pictures and not compared, because weights are random."""
    from yolox_pose.export import to_openvino
    from yolox_pose.export.check import check_pictures
    from yolox_pose.export.exporting import describe
    from yolox_pose.export.graph import DecodedGraph
    from yolox_pose.export.options import ExportOptions
    from yolox_pose.geometry.letterbox import fit_letterbox, letterbox_image
    from yolox_pose.inference.exported.description import file_digest, write_description
    from yolox_pose.inference.torch_network import TorchNetwork

    reference = TorchNetwork(config, checkpoint, "cpu")
    description = describe(reference, ExportOptions("openvino", "decode", calibration=folder))
    side = description.size[0]
    canvases = [letterbox_image(image, fit_letterbox(image.shape[1::-1], (side, side))) for image in check_pictures()]
    inputs = [canvas.transpose(2, 0, 1).astype(np.float32) for canvas in canvases]
    folder.mkdir(parents=True)
    path = folder / "model.xml"
    to_openvino.write(DecodedGraph(reference.model), description, path, inputs)
    files = {path.name: file_digest(path)}
    write_description(folder, dataclasses.replace(description, files=files))
    return path


def exported_models(config: Any, checkpoint: Path, folder: Path, threads: int) -> Iterator[tuple[str, Any]]:
    """Name and loaded model of each backend that is installed; those in float32 were compared with torch."""
    from yolox_pose.export.exporting import export_model
    from yolox_pose.export.options import ExportOptions
    from yolox_pose.runtime import load

    settings = {"threads": threads, "score_thr": SCORE}
    path = export_model(config, checkpoint, folder / "onnx", ExportOptions("onnx")).model
    yield "onnxruntime", load(path, **settings)
    if find_spec("openvino"):
        yield "openvino", load(path, backend="openvino", **settings)
        if find_spec("nncf"):
            yield "openvino int8", load(write_int8(config, checkpoint, folder / "int8"), **settings)
    if find_spec("pnnx") and find_spec("ncnn"):
        yield "ncnn", load(export_model(config, checkpoint, folder / "ncnn", ExportOptions("ncnn")).model, **settings)


def torch_networks(config: Any, checkpoint: Path, batch: Any, compile_it: bool) -> dict[str, Callable[[], Any]]:
    """Calls of the network in PyTorch: as it was trained, folded and channels last, the latter compiled."""
    import torch

    from yolox_pose.models.loading import load_model

    from mmcv.cnn import fuse_conv_bn  # isort: skip

    eager: Any = load_model(config, checkpoint, "cpu")
    fused = fuse_conv_bn(copy.deepcopy(eager)).to(memory_format=torch.channels_last)

    def forward(network: Any, images: Any) -> Any:
        return network.head(network.extract_feat(images))

    def call(function: Callable[..., Any], network: Any, images: Any) -> Callable[[], Any]:
        def run() -> Any:
            with torch.inference_mode():
                return function(network, images)

        return run

    last = batch.to(memory_format=torch.channels_last)
    calls = {"torch eager": call(forward, eager, batch), "torch folded, channels last": call(forward, fused, last)}
    if compile_it:
        calls["torch compiled"] = call(torch.compile(forward), fused, last)
    return calls


def measure(size: str, side: int, folder: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Network alone and whole call of one model on one input size."""
    import torch

    from yolox_pose import PoseInferencer

    config, checkpoint = make_checkpoint(CONFIG.format(size), side, folder)
    models = dict(exported_models(config, checkpoint, folder / f"{size}-{side}", args.threads))
    inferencer = PoseInferencer(config, checkpoint, device="cpu", score_thr=SCORE)
    picture, batch = _picture(side), torch.rand(1, 3, side, side) * 255
    alone = torch_networks(config, checkpoint, batch, args.compile)
    calls: dict[str, Callable[[], Any]] = {"torch eager": lambda: list(inferencer(picture))}
    for name, model in models.items():
        calls[name] = lambda model=model: list(model(picture))
        alone[name] = lambda model=model: model.network.backend(batch.numpy())
    wanted = calls["torch eager"]()[0]
    equal = {name: _same(wanted, calls[name]()[0]) for name in models if "int8" not in name}
    lines, repeats = [], max(3, args.repeats // (3 if size not in ("nano", "tiny") else 1))
    for what, functions in (("network alone", alone), ("whole call", calls)):
        times = interleaved(functions, repeats, warmup=2, pause=PAUSE)
        label = f"{what}, {size} at {side}"
        entries = {"weights": "random", "found": len(wanted)}
        peer = times["torch eager"] * 1e3
        for name in list(times)[1:]:
            same = equal.get(name)
            lines.append(case(f"{label}, {name}", "ms", times[name] * 1e3, peer, "torch eager", equal=same, **entries))
        if what == "network alone":
            lines.append(_best(label, {name: times[name] for name in equal}, peer, BOUNDS.get((size, side))))
    return lines


def _best(label: str, times: dict[str, float], peer: float, bound: float | None) -> dict[str, Any]:
    """The fastest float32 backend, and whether it is as fast as it has to be."""
    name = min(times, key=lambda name: times[name])
    line = case(f"{label}, best in float32: {name}", "ms", times[name] * 1e3, peer, "torch eager")
    return line if bound is None else bounded(line, "ratio", at_least=bound)


def _same(first: Any, second: Any) -> bool:
    """Whether detections are the same ones within 0.05 px and 0.001 of score."""
    from yolox_pose.export.check import TOLERANCES, compare

    found = compare(first, second, TOLERANCES["fp32"], score_thr=SCORE, nms_thr=0.65, max_per_img=300)
    return found.matched > 0 and not found.unmatched


def measure_stem(size: str, side: int, folder: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Compare the slices of the stem with a 6x6 convolution, in onnxruntime and OpenVINO."""
    from yolox_pose.export.exporting import export_model
    from yolox_pose.export.options import ExportOptions
    from yolox_pose.runtime import load

    config, checkpoint = make_checkpoint(CONFIG.format(size), side, folder)
    batch = np.random.default_rng(0).uniform(0, 255, (1, 3, side, side)).astype(np.float32)
    calls: dict[str, Callable[[], Any]] = {}
    found: dict[str, Any] = {}
    for stem in ("slices", "convolution"):
        options = ExportOptions("onnx", focus=stem == "slices")
        done = export_model(config, checkpoint, folder / f"stem-{size}-{side}-{stem}", options)
        for backend in ("onnxruntime", "openvino"):
            if find_spec(backend):
                model: Any = load(done.model, backend=backend, threads=args.threads, score_thr=SCORE)
                calls[f"{backend} {stem}"] = lambda run=model.network.backend: run(batch)
                found[f"{backend} {stem}"] = next(model(_picture(side)))
    times = interleaved(calls, args.repeats, warmup=2, pause=PAUSE)
    lines = []
    for name in (name.partition(" ")[0] for name in calls if name.endswith(" convolution")):
        pair = [f"{name} {stem}" for stem in ("convolution", "slices")]
        same = _same(*(found[key] for key in pair))
        figures = (times[key] * 1e3 for key in pair)
        lines.append(case(f"stem, {size} at {side}, {name}", "ms", *figures, "slices", equal=same, weights="random"))
    return lines


def measure_rtmlib(folder: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Compare a detector in rtmlib's YOLOX class and in this runtime, both with onnxruntime."""
    if not find_spec("rtmlib"):
        return []
    import contextlib
    import io
    from importlib import metadata

    from rtmlib import YOLOX

    from yolox_pose.export.exporting import export_model
    from yolox_pose.export.options import ExportOptions
    from yolox_pose.geometry.images import read_image
    from yolox_pose.runtime import load

    config, checkpoint = (DETECTOR, args.detector) if args.detector else make_checkpoint(DETECTOR, 416, folder)
    picture = read_image(args.picture) if args.picture else _picture(416)
    done = export_model(config, checkpoint, folder / "detector", ExportOptions("onnx", "raw"))
    ours = load(done.model, threads=args.threads, score_thr=SCORE)
    nms = done.description.postprocess.nms_thr
    with contextlib.redirect_stdout(io.StringIO()):
        peer = YOLOX(str(_for_rtmlib(done.model)), (416, 416), "multiclass", nms_thr=nms, score_thr=SCORE)
    result, (boxes, labels) = next(ours(picture)), peer(picture)
    height, width = picture.shape[:2]
    boxes = np.asarray(boxes).reshape(-1, 4).clip(0, [width, height, width, height])  # ours are cut to the picture
    near = np.abs(result.boxes[:, None] - boxes).max(-1, initial=0) < 0.05
    common = int((near & (result.labels[:, None] == labels)).any(1).sum())
    counts = {"boxes_ours": len(result), "boxes_peer": len(boxes), "boxes_in_common": common}
    same, weights = len(result) == len(boxes) == common, "given" if args.detector else "random"
    name, lines = f"rtmlib {metadata.version('rtmlib')}", []
    whole = {"ours": lambda: list(ours(picture)), "peer": lambda: peer(picture)}
    for what, calls in (("whole call", whole), ("after the network", _after_the_network(ours.network, peer, picture))):
        times = interleaved(calls, args.repeats, warmup=2, pause=PAUSE)
        label = f"detector, nano at 416, 80 classes, onnxruntime, {what}"
        figures = (times[who] * 1e3 for who in ("ours", "peer"))
        lines.append(case(label, "ms", *figures, name, equal=same, weights=weights, **counts))
    return lines


def _after_the_network(network: Any, peer: Any, picture: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Return the calls after the network of both sides: decoding, NMS and mapping to the picture."""
    from yolox_pose.geometry.boxes import grid_priors
    from yolox_pose.geometry.letterbox import fit_letterbox, letterbox_image
    from yolox_pose.inference.exported.decoding import detect

    letterbox = fit_letterbox(picture.shape[1::-1], (416, 416), centered=False)
    outputs = network.backend(letterbox_image(picture, letterbox).transpose(2, 0, 1)[None].astype(np.float32))
    padded, ratio = peer.preprocess(picture)
    theirs = peer.inference(padded)[0]
    thresholds = network.postprocess_settings({"score_thr": SCORE})
    priors = grid_priors((416, 416), (8, 16, 32))

    def ours() -> Any:
        found = detect(outputs, 0, priors, network.description, thresholds)
        return letterbox.inverse_boxes(found.boxes, clip=True)

    return {"ours": ours, "peer": lambda: peer.postprocess(theirs.copy(), ratio)}  # it decodes in place


def _for_rtmlib(path: Path) -> Path:
    """Write the raw graph with the single output that rtmlib needs: boxes, objectness and class probabilities."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(path)
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([2]), "last_axis"))
    graph.node.extend(
        [
            helper.make_node("Unsqueeze", ["objectness", "last_axis"], ["objectness_column"]),
            helper.make_node("Concat", ["objectness_column", "classes"], ["logits"], axis=2),
            helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
            helper.make_node("Concat", ["boxes", "probabilities"], ["output"], axis=2),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, None, None]))
    out = path.with_name("rtmlib.onnx")
    onnx.save(model, out)
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code, 1 if results differ from those of torch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = ("nano", "tiny", "s", "m", "l", "x")
    parser.add_argument("--sizes", nargs="+", default=["nano", "tiny", "s"], choices=sizes)
    parser.add_argument("--inputs", nargs="+", type=int, default=[416, 640], help="sides in pixels (default: 416 640)")
    parser.add_argument("--repeats", type=int, default=21, help="calls of each, a third from s on; the median counts")
    parser.add_argument("--threads", type=int, default=2, help="of every runtime (default: 2)")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="leave torch.compile out")
    parser.add_argument("--detector", type=Path, metavar="W", help="weights of the nano detector of COCO, for rtmlib")
    parser.add_argument("--picture", type=Path, metavar="IMAGE", help="photograph for the detector")
    add_json_option(parser)
    args = parser.parse_args(argv)
    import torch

    torch.set_num_threads(args.threads)
    warnings.filterwarnings("ignore")
    lines = _measured_before(args)
    with tempfile.TemporaryDirectory() as folder:
        for label, function in progress(list(_parts(args, Path(folder))), lambda part: part[0]):
            if not any(label in line["case"] for line in lines):
                lines += function()
                report("export", lines, packages=PACKAGES, json_file=args.json, **_conditions(args))
    return int(any(line["equal"] is False for line in lines if line["case"].startswith(("network", "whole", "stem"))))


def _parts(args: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Callable[[], list[dict[str, Any]]]]]:
    """Yield the measurements in order, each with a text that the names of its lines contain."""
    pairs = [(size, side) for side in args.inputs for size in args.sizes]
    for size, side in pairs:
        yield f"call, {size} at {side}", lambda size=size, side=side: measure(size, side, folder, args)
    size, side = pairs[0]
    yield f"stem, {size} at {side}", lambda: measure_stem(size, side, folder, args)
    yield "detector, nano at 416", lambda: measure_rtmlib(folder, args)


def _conditions(args: argparse.Namespace) -> dict[str, Any]:
    return {"threads": args.threads, "gpu": "not run"}


def _measured_before(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the lines of a stopped run with the same versions and threads."""
    if args.json is None or not args.json.is_file():
        return []
    content = json.loads(args.json.read_text(encoding="utf-8"))
    if any(content.get(key) != value for key, value in _conditions(args).items()):
        return []
    return list(content["cases"]) if content.get("versions") == versions(PACKAGES) else []


if __name__ == "__main__":
    raise SystemExit(main())
