"""The weights that come with the package: the one place that says which file it is and which config it belongs to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from yolox_pose.errors import UsageError


class BundledModel(NamedTuple):
    """A model whose weights are in the package.

    Attributes:
        config: Name of its config (:func:`yolox_pose.config.find_config`).
        path: Its weights; ``README.md`` beside them is the model card.
    """

    config: str
    path: Path


BUNDLED_NAME = "bundled"
"""Stands for the bundled config or weights wherever a config or a checkpoint is asked for."""
BUNDLED = BundledModel(
    config="yolox-pose_nano_1xb16-50e_coco-persons-416",
    path=Path(__file__).with_name("yolox-pose_nano_coco-persons-416.pth"),
)


def find_weights(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the path of weights.

    Args:
        name_or_path: A file, or :data:`BUNDLED_NAME`. A file of that name comes first.

    Raises:
        UsageError: If it is neither, or the bundled weights are not in this installation.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    if os.fspath(name_or_path) != BUNDLED_NAME:
        problem = "is not a file" if path.exists() else "does not exist"
        raise UsageError(f"checkpoint {os.fspath(name_or_path)!r} {problem}")
    if not BUNDLED.path.is_file():
        raise UsageError(
            f"the bundled weights ({BUNDLED.path.name}) are not in this installation; name a config and a checkpoint"
        )
    return BUNDLED.path
