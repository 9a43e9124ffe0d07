"""What the package needs to be installed, and the one line that says what is missing and how to mend it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import metadata
from importlib.util import find_spec
from typing import NamedTuple

from yolox_pose.errors import YOLOXPoseError

INSTALL_COMMAND = "yolox-pose install (or make env in a checkout)"


class MissingDependencyError(YOLOXPoseError, ImportError):
    """A package that is needed is missing or too old. Exit code 1."""


class Dependency(NamedTuple):
    """A module that is imported.

    Args:
        module: Name in an ``import``.
        minimum: Lowest version that works, empty for any.
        distributions: Names under which pip may have installed it; the maintained forks ``onedl-*`` among them.
    """

    module: str
    minimum: str
    distributions: tuple[str, ...]


TRAINING = (
    Dependency("numpy", "1.23", ("numpy",)),
    Dependency(
        "cv2",
        "4.5",
        ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
    ),
    Dependency("torch", "2.6", ("torch",)),
    Dependency("mmengine", "0.10.4", ("mmengine", "mmengine-lite", "onedl-mmengine")),
    Dependency("mmcv", "2.0.1", ("mmcv", "mmcv-lite", "onedl-mmcv", "onedl-mmcv-lite")),
    Dependency("mmdet", "3.1", ("mmdet", "onedl-mmdetection", "onedl-mmdet")),
    Dependency("mmpose", "1.3", ("mmpose", "onedl-mmpose")),
    Dependency("scipy", "", ("scipy",)),
    Dependency("matplotlib", "", ("matplotlib",)),
    Dependency("PIL", "", ("pillow",)),
    Dependency("pycocotools", "2.0.6", ("pycocotools",)),
    Dependency("hotcoco", "1.0", ("hotcoco",)),
    Dependency("json_tricks", "", ("json-tricks",)),
    Dependency("munkres", "", ("munkres",)),
    Dependency("six", "", ("six",)),
    Dependency("shapely", "", ("shapely",)),
    Dependency("terminaltables", "", ("terminaltables",)),
    Dependency("tqdm", "", ("tqdm",)),
)
"""What training, evaluation and inference with PyTorch import, in the order in which it is reported."""


class Installed(NamedTuple):
    """What is installed of a dependency; ``version`` is None where the module is absent, "" where it is unknown."""

    dependency: Dependency
    distribution: str
    version: str | None

    @property
    def problem(self) -> str:
        """What is wrong in a few words, empty if nothing is."""
        if self.version is None:
            return f"{self.distribution} is missing"
        minimum = self.dependency.minimum
        if minimum and self.version and numbers(self.version) < numbers(minimum):
            return f"{self.distribution} {self.version} is too old (at least {minimum} is needed)"
        return ""


def look_up(dependency: Dependency) -> Installed:
    """Return what is installed of ``dependency``, without importing it."""
    for name in dependency.distributions:
        try:
            return Installed(dependency, name, metadata.version(name))
        except metadata.PackageNotFoundError:
            continue
    present = find_spec(dependency.module) is not None
    return Installed(dependency, dependency.distributions[0], "" if present else None)


def require(dependencies: Iterable[Dependency] = TRAINING) -> None:
    """Check ``dependencies``.

    Raises:
        MissingDependencyError: In one line: what is missing or too old, what was found, and the command that mends it.
    """
    problems = [found.problem for found in map(look_up, dependencies) if found.problem]
    if problems:
        raise MissingDependencyError(f"{', '.join(problems)}; mend it with: {INSTALL_COMMAND}")


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, its local and pre-release parts left out: "2.13.0+cpu" gives (2, 13, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[+a-z]", version)[0]))
