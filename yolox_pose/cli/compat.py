"""``yolox-pose compat``: what is installed, and which gaps of the OpenMMLab stack are filled in its place."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence

from yolox_pose import dependencies
from yolox_pose.version import __version__


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command, which has no options."""
    return argparse.ArgumentParser(prog="yolox-pose compat", description=__doc__)


def main(argv: Sequence[str] | None = None) -> int:
    """Print versions and gaps. Raises MissingDependencyError where the stack is incomplete."""
    build_parser().parse_args(argv)
    print(f"yolox_pose {__version__}, Python {platform.python_version()} on {platform.platform()}\n\nVersions")
    for found in map(dependencies.look_up, dependencies.TRAINING):
        version = "missing" if found.version is None else found.version or "unknown version"
        print(f"  {found.distribution:<24} {version}")
    dependencies.require()

    from yolox_pose import compat

    print("\nGaps")
    for gap, done in compat.install().items():
        print(f"  {gap:<24} {done}")
    return 0
