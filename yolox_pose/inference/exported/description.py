"""``model.json``: what the runtime must know of an exported model, so that it needs neither config nor checkpoint.

It is plain JSON. It holds the SHA-256 of the model's files, so that a description of another model is noticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from yolox_pose.errors import DataError, UsageError
from yolox_pose.structures.constants import PAD_VALUE
from yolox_pose.structures.settings import PostprocessSettings
from yolox_pose.structures.skeleton import Skeleton, get_skeleton
from yolox_pose.utils.json_files import read_json, write_json

FORMAT = 1
"""Version of the file; a higher one is refused."""

FILE_NAME = "model.json"
LAYOUTS = ("raw", "decode", "nms")
"""What the outputs are: those of the network, boxes and keypoints in pixels of its input, or final detections."""

POSTPROCESS_FIELDS = ("score_thr", "nms_thr", "nms_pre", "max_per_img")
"""Fields of :class:`PostprocessSettings` that the file holds: exported models suppress boxes alone."""


@dataclass(frozen=True)
class ModelDescription:
    """An exported model.

    Attributes:
        target: Format, such as ``onnx``.
        layout: One of :data:`LAYOUTS`.
        size: (H, W) of the network's input in pixels; where the size is dynamic, the one that is used unless another is
            asked for.
        batch: Images that the model takes at a time; None for any number.
        dynamic: Whether height and width may be any multiples of 32.
        precision: ``fp32``, ``fp16`` or ``int8``.
        outputs: Names of the outputs, in order.
        strides: Pixels per cell of each level.
        centered: Whether images are padded on both sides.
        pad_value: Grey level of the padding.
        classes: Names in label order.
        keypoint_classes: Labels of the classes that have keypoints.
        skeleton: Of the keypoints; None for plain detection.
        postprocess: Settings that choose detections; part of the graph for the ``nms`` layout. The file holds the
            :data:`POSTPROCESS_FIELDS` of them.
        files: Name of each file of the model and its SHA-256.
        versions: Of the packages that made it.
        check: What was measured against torch when it was exported.
    """

    target: str
    layout: str
    size: tuple[int, int]
    outputs: tuple[str, ...]
    classes: tuple[str, ...]
    batch: int | None = 1
    dynamic: bool = False
    precision: str = "fp32"
    strides: tuple[int, ...] = (8, 16, 32)
    centered: bool = True
    pad_value: int = PAD_VALUE
    keypoint_classes: tuple[int, ...] = ()
    skeleton: Skeleton | None = None
    postprocess: PostprocessSettings = PostprocessSettings()
    files: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    check: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_keypoints(self) -> int:
        """K; 0 for plain detection."""
        return self.skeleton.num_keypoints if self.skeleton is not None else 0

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the colours of the skeleton for programs that draw without this package."""
        values = asdict(self)
        settings = values.pop("postprocess")
        values |= {name: getattr(settings, name) for name in POSTPROCESS_FIELDS}
        skeleton = self.skeleton
        if skeleton is not None:
            colors = {"keypoint_colors": skeleton.keypoint_colors, "link_colors": skeleton.link_colors}
            values["skeleton"] = {**skeleton.to_dict(), **colors}
        return {"format": FORMAT, "input": "images: BGR, 0 to 255, (batch, 3, height, width) float32", **values}


def write_description(folder: Path, description: ModelDescription) -> Path:
    """Write ``model.json`` into the folder of the model."""
    return write_json(folder / FILE_NAME, description.to_json(), indent=2)


def read_description(model: Path) -> ModelDescription:
    """Read the description that lies beside a model: a ``.json`` of the same name, else ``model.json``.

    Args:
        model: The model's file.

    Raises:
        DataError: If there is none, it cannot be used, or it is of another model.
    """
    path = model.with_suffix(".json")
    if not path.is_file():
        path = model.with_name(FILE_NAME)
    if not path.is_file():
        raise DataError(
            f"{model} has no {FILE_NAME} beside it, which tools/export.py writes; copy it along with the model"
        )
    description = parse_description(read_json(path, "model description"), str(path))
    check_files(description, model, path)
    return description


def parse_description(content: Any, name: str) -> ModelDescription:
    """Turn the content of a ``model.json`` into a description.

    Raises:
        DataError: If something is missing or of another kind; one line that names the file and the key.
    """
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, Mapping) else None
        raise DataError(f"{name} is not a model description that this version reads (format {FORMAT}, found {found})")
    known = set(ModelDescription.__dataclass_fields__) - {"postprocess"}
    values = {key: value for key, value in content.items() if key in known}
    for key in ("target", "layout", "size", "outputs", "classes"):
        if key not in values:
            raise DataError(f"{name} has no '{key}'")
    if values["layout"] not in LAYOUTS:
        raise DataError(f"{name}: layout '{values['layout']}' is not one of {', '.join(LAYOUTS)}")
    key = ""
    try:
        for key, value in values.items():
            values[key] = _convert(key, value)
    except (TypeError, ValueError, LookupError) as error:
        raise DataError(f"{name}: '{key}' cannot be used: {error}") from None
    try:
        settings = {key: content[key] for key in POSTPROCESS_FIELDS if key in content}
        return ModelDescription(**values, postprocess=PostprocessSettings.from_dict(settings))
    except UsageError as error:
        raise DataError(f"{name}: {error}") from None


def _convert(key: str, value: Any) -> Any:
    """The value of one field from what JSON has for it."""
    if key in ("size", "strides", "keypoint_classes"):
        numbers = tuple(int(number) for number in value)
        if key == "size" and (len(numbers) != 2 or min(numbers) < 1):
            raise ValueError(f"{value} is not a height and a width")
        return numbers
    if key in ("outputs", "classes"):
        return tuple(str(name) for name in value)
    if key == "skeleton" and value is not None:
        return get_skeleton({name: value[name] for name in Skeleton.__dataclass_fields__ if name in value})
    if key == "pad_value":
        return int(value)
    if key in ("files", "versions", "check"):
        return dict(value)
    return value


def check_files(description: ModelDescription, model: Path, path: Path) -> None:
    """Check that a description belongs to a model file, by hash, whatever the file is called.

    Raises:
        DataError: If it does not.
    """
    digests = description.files
    expected = digests.get(model.name)
    found = file_digest(model)
    if found != expected and (expected is not None or found not in digests.values()):
        raise DataError(f"{path} is of another model than {model} (their SHA-256 differ); export the model again")


def file_digest(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
