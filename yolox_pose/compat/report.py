"""Report installed versions and filled gaps. Remove this file with the package."""

from __future__ import annotations

import platform

from yolox_pose import compat
from yolox_pose.utils import dependencies
from yolox_pose.version import __version__


def print_report() -> None:
    """Print installed versions and filled gaps.

    Raises:
        MissingDependencyError: If a package of the training stack is missing or too old.
    """
    print(f"yolox_pose {__version__}, Python {platform.python_version()} on {platform.platform()}\n\nVersions")
    for package in map(dependencies.look_up, dependencies.TRAINING):
        version = "missing" if package.version is None else package.version or "unknown version"
        print(f"  {package.distribution:<24} {version}")
    dependencies.require()

    print("\nGaps")
    for gap, result in compat.install().items():
        print(f"  {gap:<24} {result}")
