"""``python -m yolox_pose.compat``: what was found, what was filled, and versions. Exit code 1 if something is missing."""

from yolox_pose.cli import run
from yolox_pose.cli.compat import main

raise SystemExit(run(main))
