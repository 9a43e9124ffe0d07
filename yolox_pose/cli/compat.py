"""``yolox-pose compat``: show the installed versions and the filled gaps of the OpenMMLab stack."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command, which has no options."""
    return argparse.ArgumentParser(prog="yolox-pose compat", description=__doc__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Raises:
        MissingDependencyError: If the training stack is incomplete.
    """
    build_parser().parse_args(argv)
    from yolox_pose.compat.report import print_report

    print_report()
    return 0
