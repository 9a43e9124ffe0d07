"""The commands. Each module has ``build_parser()`` and ``main(argv)``; heavy imports wait until a command runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from yolox_pose.errors import YOLOXPoseError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it (128 + SIGINT)."""


def run(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; errors that the user can mend become one line on stderr."""
    try:
        return main(argv)
    except YOLOXPoseError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
