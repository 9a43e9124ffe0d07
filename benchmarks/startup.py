"""Seconds until the package can be used: ``python benchmarks/startup.py [--repeats N] [--json FILE]``.

Every import is made in an interpreter of its own and timed there, in turns with the others. The peer of the runtime is rtmlib
(``pip install --no-deps rtmlib``), which runs without torch too; what both begin with, numpy and OpenCV alone, is a line as well.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from common import add_json_option, bounded, case, medians, report

LIMIT = 0.5
"""Seconds that the import of the runtime may take."""

ALONE = "import numpy, cv2"
OURS = "from yolox_pose import PoseInferencer; from yolox_pose.runtime import load"
PEER = "from rtmlib import YOLOX, RTMPose"
PACKAGES = ("rtmlib", "numpy", "opencv-python-headless", "onnxruntime")


def seconds_of(statement: str) -> float:
    """Wall time of an import in a new interpreter, without the interpreter's own start."""
    code = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    root = Path(__file__).resolve().parents[1]
    return float(
        subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True).stdout
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=41, help="imports of each; the median counts (default: 41)")
    add_json_option(parser)
    args = parser.parse_args(argv)
    statements = {"alone": ALONE, "ours": OURS, **({"peer": PEER} if find_spec("rtmlib") else {})}
    times = medians({name: partial(seconds_of, statement) for name, statement in statements.items()}, args.repeats)
    lines = [
        bounded(case("import of the runtime", "s", times["ours"], times.get("peer"), "rtmlib"), "ours", at_most=LIMIT),
        case("import of numpy and OpenCV alone", "s", times["alone"]),
    ]
    report("startup", lines, packages=PACKAGES, json_file=args.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
