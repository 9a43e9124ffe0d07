"""Layers of the package: the table behind the layer test and ``docs/design.md``.

A part may import the parts above it in :data:`LAYERS`, and none below. ``python -m tests.layers`` writes the table
into ``docs/design.md``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

DESIGN = Path(__file__).resolve().parents[1] / "docs" / "design.md"
BEGIN, END = "<!-- layers: made by python -m tests.layers -->", "<!-- end of layers -->"

ANY = frozenset({"*"})
"""Any package, including torch and the OpenMMLab stack."""
NUMPY, CV2 = frozenset({"numpy"}), frozenset({"numpy", "cv2"})
RUNTIMES = frozenset({"onnxruntime", "openvino", "ncnn"})


class Layer(NamedTuple):
    """File or package of ``yolox_pose``.

    Attributes:
        name: Name below ``yolox_pose``.
        holds: Content, for the guide.
        packages: Packages outside the standard library that it may import.
    """

    name: str
    holds: str
    packages: frozenset[str] = frozenset()


LAYERS = (
    Layer("errors", "error classes, which the commands print in one line"),
    Layer("version", "the version"),
    Layer("structures", "skeletons, classes, settings, detections, constants with their sources", NUMPY),
    Layer("utils", "progress, background work, threads, JSON files, optional dependencies", frozenset({"tqdm"})),
    Layer(
        "weights",
        "the model in the package; published weights by name, their download and store",
        frozenset({"huggingface_hub"}),
    ),
    Layer(
        "ops",
        "tensor functions: boxes, keypoints, OKS, SimOTA, losses, distillation, NMS, fusion",
        frozenset({"torch"}),
    ),
    Layer("geometry", "the counterpart in numpy and cv2: boxes, OKS, NMS, affine maps, letterbox, image reading", CV2),
    Layer("io", "image, video and camera sources; image and video writers", CV2 | {"PIL", "imageio_ffmpeg"}),
    Layer("compat", "one file per gap of the OpenMMLab stack", ANY),
    Layer("registry", "the registries, children of MMPose's", ANY),
    Layer("config", "find, read, override and check configs", ANY),
    Layer(
        "coco",
        "COCO-format files: the one reader, records, ground truth, RLE, merge, YOLO labels, statistics, results",
        NUMPY | {"pycocotools", "PIL"},
    ),
    Layer("synthetic", "synthetic crowds", CV2),
    Layer("checkpoints", "files, layouts, matching, stored preprocessing, averaging, conversion", ANY),
    Layer("datasets", "data set, sampler, cache, augmentation, transforms", ANY),
    Layer("models", "registered classes over `ops`: head, estimator, necks, preprocessor, EMA, TTA", ANY),
    Layer("evaluation", "COCO metrics over hotcoco, streaming accuracy, the registered metric", ANY),
    Layer("tracking", "tracker, motion, smoothing, tracking metrics", NUMPY | {"scipy"}),
    Layer("visualization", "drawing, annotations, pictures side by side, training curves", CV2 | {"matplotlib"}),
    Layer("inference", "the inferencer, its results, networks", CV2 | RUNTIMES | {"pandas", "supervision"}),
    Layer("runtime", "entry point for exported models: `load`"),
    Layer("engine", "training: hooks, optimizers, runs over a data set", ANY),
    Layer("export", "one file per target, and the check against torch", ANY),
    Layer("serve", "the local web page", CV2),
    Layer("cli", "one file per command: parse arguments, call the library", ANY),
)

EXCEPTIONS = {"inference/torch_network": ANY}
"""Files with their own rule: the PyTorch network, which the inferencer imports when it is first needed."""


def table() -> str:
    """Return the Markdown table of the layers."""
    rows = [f"| `{layer.name}` | {layer.holds} | {_packages(layer)} |" for layer in LAYERS]
    return "\n".join(["| part | holds | outside packages |", "|-|-|-|", *rows])


def _packages(layer: Layer) -> str:
    return "any" if layer.packages == ANY else ", ".join(sorted(layer.packages)) or "none"


def between(text: str) -> str:
    """Return the text between the two marks of the guide."""
    return text.split(BEGIN)[1].split(END)[0].strip()


def with_table(text: str) -> str:
    """Return the guide with the table of today between its two marks."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    DESIGN.write_text(with_table(DESIGN.read_text(encoding="utf-8")), encoding="utf-8")
