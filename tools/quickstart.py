"""Synthesize data, train a small model, evaluate it and draw predictions; --help lists the options."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from yolox_pose.cli import run  # noqa: E402
from yolox_pose.cli.quickstart import main  # noqa: E402

if __name__ == "__main__":
    raise SystemExit(run(main))
