"""Print versions and filled gaps: ``python -m yolox_pose.compat``. The exit code is 1 if a package is missing.

Remove it with the package.
"""

import sys

from yolox_pose.compat.report import print_report
from yolox_pose.errors import YOLOXPoseError

try:
    print_report()
except YOLOXPoseError as error:
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(error.exit_code) from None
