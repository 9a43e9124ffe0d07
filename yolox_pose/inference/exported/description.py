"""``model.json``, which replaces config and checkpoint for the runtime of an exported model.

It is plain JSON and holds the SHA-256 of the model's files, so that a description of another model is noticed.
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
"""Version of the file format. Other versions are refused."""

FILE_NAME = "model.json"
LAYOUTS = ("raw", "decode", "nms")
"""Outputs of the model: raw outputs of the head, boxes and keypoints in pixels of the input, or final detections."""

POSTPROCESS_FIELDS = tuple(name for name in PostprocessSettings._fields if name != "classes")
"""Fields of :class:`PostprocessSettings` that the file holds."""


@dataclass(frozen=True)
class ModelDescription:
    """Description of an exported model.

    Attributes:
        target: Format, such as ``onnx``.
        layout: One of :data:`LAYOUTS`.
        size: Height and width of the network's input in pixels; the default if the size is dynamic.
        outputs: Names of the outputs, in order.
        classes: Class names in label order.
        batch: Number of images that the model takes at a time; None for any number.
        dynamic: Whether height and width may be any multiples of 32.
        precision: ``fp32``, ``fp16`` or ``int8``.
        strides: Pixels per cell of each level.
        centered: Whether images are padded on both sides.
        pad_value: Gray level of the padding.
        keypoint_classes: Labels of the classes with keypoints.
        skeleton: Skeleton of the keypoints; None for plain detection.
        postprocess: Settings that choose detections, part of the graph in the ``nms`` layout. The file holds their
            :data:`POSTPROCESS_FIELDS`.
        files: SHA-256 of each file of the model, by name.
        versions: Versions of the packages that exported it.
        check: Differences from torch measured at export.
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
        """Number of keypoints, K; 0 for plain detection."""
        return self.skeleton.num_keypoints if self.skeleton is not None else 0

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values, with the colors of the skeleton for programs that draw without this package."""
        values = asdict(self)
        settings = values.pop("postprocess")
        values |= {name: getattr(settings, name) for name in POSTPROCESS_FIELDS}
        skeleton = self.skeleton
        if skeleton is not None:
            colors = {"keypoint_colors": skeleton.keypoint_colors, "link_colors": skeleton.link_colors}
            values["skeleton"] = {**skeleton.to_dict(), **colors}
        return {"format": FORMAT, "input": "images: BGR, 0 to 255, (batch, 3, height, width) float32", **values}


def write_description(folder: Path, description: ModelDescription) -> Path:
    """Write ``model.json`` into the folder of the model and return its path."""
    return write_json(folder / FILE_NAME, description.to_json(), indent=2)


def read_description(model: Path) -> ModelDescription:
    """Read the description beside a model: a ``.json`` file of the same name, else ``model.json``.

    Args:
        model: Model file.

    Raises:
        DataError: If the description is missing, invalid, or belongs to another model.
    """
    path = model.with_suffix(".json")
    if not path.is_file():
        path = model.with_name(FILE_NAME)
    if not path.is_file():
        raise DataError(
            f"{model} has no {FILE_NAME} beside it; copy the one that yolox-pose export wrote along with the model"
        )
    description = parse_description(read_json(path, "model description"), str(path))
    check_files(description, model, path)
    return description


def parse_description(content: Any, name: str) -> ModelDescription:
    """Convert the content of a ``model.json`` to a description.

    Args:
        content: Content of the file.
        name: Name of the file in error messages.

    Raises:
        DataError: If a key is missing or its value is invalid.
    """
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        version = content.get("format") if isinstance(content, Mapping) else None
        raise DataError(
            f"{name} is not a model description of format {FORMAT}, which this version reads (it has {version})"
        )

    # Take the known keys
    known = set(ModelDescription.__dataclass_fields__) - {"postprocess"}
    values = {key: value for key, value in content.items() if key in known}
    for key in ("target", "layout", "size", "outputs", "classes"):
        if key not in values:
            raise DataError(f"{name} has no '{key}'")
    if values["layout"] not in LAYOUTS:
        raise DataError(f"{name}: layout '{values['layout']}' is not one of {', '.join(LAYOUTS)}")

    # Convert the values
    key = ""
    try:
        for key, value in values.items():
            values[key] = _convert(key, value)
    except (TypeError, ValueError, LookupError) as error:
        raise DataError(f"{name}: '{key}' is invalid: {error}") from None
    try:
        settings = {key: content[key] for key in POSTPROCESS_FIELDS if key in content}
        return ModelDescription(**values, postprocess=PostprocessSettings.from_dict(settings))
    except UsageError as error:
        raise DataError(f"{name}: {error}") from None


def _convert(key: str, value: Any) -> Any:
    """Convert the JSON value of one field."""
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
    """Check by its hash that a description belongs to a model file. The file may have been renamed.

    Args:
        description: Description of the model.
        model: Model file.
        path: File of the description, for the message.

    Raises:
        DataError: If the description belongs to another model.
    """
    expected, digest = description.files.get(model.name), file_digest(model)
    if digest != expected and (expected is not None or digest not in description.files.values()):
        raise DataError(f"{path} describes another model than {model} (the SHA-256 differs); export the model again")


def file_digest(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
