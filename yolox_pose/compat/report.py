"""Report the installed versions, and the gaps of the OpenMMLab stack that are filled."""

from __future__ import annotations

import platform

from yolox_pose import compat
from yolox_pose.utils import dependencies
from yolox_pose.version import __version__


def print_report() -> None:
    """Print versions and gaps.

    Raises:
        MissingDependencyError: If a package of the training stack is missing or too old.
    """
    print(f"yolox_pose {__version__}, Python {platform.python_version()} on {platform.platform()}\n\nVersions")
    for found in map(dependencies.look_up, dependencies.TRAINING):
        version = "missing" if found.version is None else found.version or "unknown version"
        print(f"  {found.distribution:<24} {version}")
    dependencies.require()

    print("\nGaps")
    for gap, done in compat.install().items():
        print(f"  {gap:<24} {done}")
