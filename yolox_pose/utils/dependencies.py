"""Check that the packages of the training stack are installed and new enough."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import metadata
from importlib.util import find_spec
from typing import NamedTuple

from yolox_pose.errors import YOLOXPoseError

INSTALL_COMMAND = "yolox-pose install (or make env in a checkout)"


class MissingDependencyError(YOLOXPoseError, ImportError):
    """A required package is missing or too old. Exit code 1."""


class Dependency(NamedTuple):
    """Package that the training stack imports.

    Args:
        module: Name of the module to import.
        minimum: Lowest version that works; empty for any version.
        distributions: Names of the distributions on PyPI that contain the module, with the maintained forks ``onedl-*``.
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
"""Packages that training, evaluation and inference with PyTorch import, in the order of the report."""


TORCH_STACK = ("torch", "mmengine", "mmcv", "mmdet", "mmpose")
"""Modules without which no model in PyTorch can be built."""

_DISTRIBUTIONS = {"cv2": "opencv-python-headless", "PIL": "pillow"}
"""Distributions of modules that have another name."""


class Installed(NamedTuple):
    """Installed version of a dependency.

    Attributes:
        dependency: The dependency.
        distribution: Name of the installed distribution, or of the first one of an absent module.
        version: Version; None if the module is absent, empty if its version is unknown.
    """

    dependency: Dependency
    distribution: str
    version: str | None

    @property
    def problem(self) -> str:
        """Problem in a few words; empty if there is none."""
        if self.version is None:
            return f"{self.distribution} is missing"
        minimum = self.dependency.minimum
        if minimum and self.version and numbers(self.version) < numbers(minimum):
            return f"{self.distribution} {self.version} is too old (at least {minimum} is needed)"
        return ""


def look_up(dependency: Dependency) -> Installed:
    """Find the installed version of a dependency, without importing it."""
    for name in dependency.distributions:
        try:
            return Installed(dependency, name, metadata.version(name))
        except metadata.PackageNotFoundError:
            continue
    present = find_spec(dependency.module) is not None
    return Installed(dependency, dependency.distributions[0], "" if present else None)


def require(dependencies: Iterable[Dependency] = TRAINING) -> None:
    """Check that dependencies are installed and new enough.

    Raises:
        MissingDependencyError: If one is not; one line with all problems and the command that installs them.
    """
    problems = [package.problem for package in map(look_up, dependencies) if package.problem]
    if problems:
        raise MissingDependencyError(f"{', '.join(problems)}; install with: {INSTALL_COMMAND}")


def has_torch_stack() -> bool:
    """Return whether PyTorch and the packages of OpenMMLab that its models need are installed, without importing them."""
    return all(find_spec(module) is not None for module in TORCH_STACK)


def require_torch_stack() -> None:
    """Check that models in PyTorch can be built.

    Raises:
        MissingDependencyError: If a package is missing; one line with the command that installs it.
    """
    missing = [module for module in TORCH_STACK if find_spec(module) is None]
    if missing:
        raise MissingDependencyError(
            f"models in PyTorch need {', '.join(missing)}; install with: {INSTALL_COMMAND}. An exported model (.onnx) needs "
            "onnxruntime alone"
        )


def missing_module(name: str) -> MissingDependencyError:
    """Return the error for a module that could not be imported: one line with the command that installs it.

    Args:
        name: Dotted name of the module.
    """
    module = name.partition(".")[0]
    if any(dependency.module == module for dependency in TRAINING):
        return MissingDependencyError(
            f"{module} is missing, which this command needs; install it with: {INSTALL_COMMAND}"
        )
    return MissingDependencyError(
        f"{module} is missing, which this command needs; install it with: {pip_install(module)}"
    )


def pip_install(*modules: str) -> str:
    """Return the command that installs modules. It names distributions and not extras, which need this package on PyPI."""
    return " ".join(["pip install", *(_DISTRIBUTIONS.get(module, module) for module in modules)])


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version without its local and pre-release parts: "2.13.0+cpu" gives (2, 13, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[+a-z]", version)[0]))
