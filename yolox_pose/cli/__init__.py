"""Commands. Each module has ``build_parser()`` and ``main(argv)``, and imports torch only when the command runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from yolox_pose.errors import YOLOXPoseError
from yolox_pose.utils.dependencies import missing_module

INTERRUPTED = 130
"""Exit code after Ctrl-C, as in shells (128 + SIGINT)."""


def run(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. Errors that the user can fix become one line on stderr.

    A command may raise ``KeyboardInterrupt`` with a text that says what is kept.
    """
    try:
        return main(argv)
    except YOLOXPoseError as error:
        return _report(error)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "yolox_pose":
            raise
        return _report(missing_module(error.name))
    except KeyboardInterrupt as interrupt:
        print(f"interrupted{''.join(f'; {kept}' for kept in interrupt.args)}", file=sys.stderr)
        return INTERRUPTED


def _report(error: YOLOXPoseError) -> int:
    """Print an error and return its exit code."""
    print(f"error: {error}", file=sys.stderr)
    return error.exit_code
