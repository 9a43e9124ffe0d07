"""Options of an export, checked before the model is loaded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from yolox_pose.errors import UsageError
from yolox_pose.inference.exported.description import LAYOUTS
from yolox_pose.structures.constants import SIZE_DIVISOR
from yolox_pose.utils.dependencies import MissingDependencyError, pip_install


class Format(NamedTuple):
    """Export format.

    Attributes:
        modules: Required modules.
        file: Name of the model's file.
        layouts: Supported layouts, the default first.
        flexible: Whether batch and size may be dynamic.
    """

    modules: tuple[str, ...]
    file: str
    layouts: tuple[str, ...] = ("decode", "raw", "nms")
    flexible: bool = True


FORMATS = {
    "onnx": Format(("onnx", "onnxscript", "onnxruntime"), "model.onnx"),
    "openvino": Format(("onnx", "onnxscript", "openvino"), "model.xml"),
    "ncnn": Format(("pnnx", "ncnn"), "model.ncnn.param", ("decode", "raw"), flexible=False),
    "tensorrt": Format(("onnx", "onnxscript", "onnxruntime"), "model.onnx"),
    "torchscript": Format((), "model.torchscript", ("decode", "raw"), flexible=False),
}


class ExportOptions(NamedTuple):
    """Options of an export.

    Attributes:
        format: A key of :data:`FORMATS`.
        layout: Layout of the outputs; None means the format's first one.
        size: (H, W) of the input in pixels; None means the config's.
        dynamic: Whether height and width may differ between calls.
        batch: Batch size; None for any.
        half: Whether weights are stored as float16.
        calibration: Folder of images to quantize to int8 with; None does not quantize.
        focus: Whether the slices of the stem are kept in place of one 6x6 convolution.
    """

    format: str
    layout: str | None = None
    size: tuple[int, int] | None = None
    dynamic: bool = False
    batch: int | None = 1
    half: bool = False
    calibration: Path | None = None
    focus: bool = False

    @property
    def precision(self) -> str:
        """``fp32``, ``fp16`` or ``int8``."""
        return "int8" if self.calibration is not None else "fp16" if self.half else "fp32"


def check_options(options: ExportOptions) -> ExportOptions:
    """Check options against each other and against the installed packages, and fill in the layout.

    Raises:
        UsageError: If options do not fit together.
        MissingDependencyError: If a package is missing; one line with the command that installs it.
    """
    # Check format and layout
    if options.format not in FORMATS:
        raise UsageError(f"unknown format '{options.format}'; there are: {', '.join(FORMATS)}")
    chosen = FORMATS[options.format]
    layout = options.layout or chosen.layouts[0]
    if layout not in LAYOUTS:
        raise UsageError(f"unknown layout '{layout}'; there are: {', '.join(LAYOUTS)}")
    if layout not in chosen.layouts:
        supported = " or ".join(f"--{name}" for name in chosen.layouts)
        raise UsageError(f"{options.format} has no operator for NMS; export with {supported}, and the runtime runs NMS")

    # Check size and batch
    if not chosen.flexible and (options.dynamic or options.batch != 1):
        raise UsageError(f"{options.format} takes one image of a fixed size at a time; leave --dynamic and --batch out")
    _check_size(options)

    # Check the precision
    if options.calibration is not None and options.format != "openvino":
        raise UsageError(f"--int8 is for openvino, not {options.format}")
    if options.calibration is not None and options.half:
        raise UsageError("choose --fp16 or --int8, not both")
    if options.half and options.format == "torchscript":
        raise UsageError("--fp16 is not for torchscript; call .half() on the loaded model on a GPU")
    if options.half and options.format == "tensorrt":
        raise UsageError("--fp16 is chosen when the engine is built: python build_engine.py model.onnx --fp16")

    # Check the installed packages
    missing = [name for name in _needed(options) if not _is_installed(name)]
    if missing:
        raise MissingDependencyError(
            f"{', '.join(missing)} is missing, which --format {options.format} needs; install it with: "
            f"{pip_install(*missing)}"
        )
    return options._replace(layout=layout)


def _check_size(options: ExportOptions) -> None:
    if options.batch is not None and options.batch < 1:
        raise UsageError(f"--batch must be at least 1 or 'dynamic', not {options.batch}")
    if options.size is None:
        return
    height, width = options.size
    if height < SIZE_DIVISOR or width < SIZE_DIVISOR or height % SIZE_DIVISOR or width % SIZE_DIVISOR:
        near = " ".join(str(max(SIZE_DIVISOR, round(side / SIZE_DIVISOR) * SIZE_DIVISOR)) for side in options.size)
        raise UsageError(
            f"--size {height} {width}: height and width must be multiples of {SIZE_DIVISOR}, such as {near}; images of any "
            "size are letterboxed to it"
        )


def _needed(options: ExportOptions) -> tuple[str, ...]:
    modules = FORMATS[options.format].modules
    return (*modules, "nncf") if options.calibration is not None else modules


def _is_installed(name: str) -> bool:
    """Tell whether a module is installed, without importing it."""
    return find_spec(name) is not None
