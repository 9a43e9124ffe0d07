"""Measure the import time of the package: ``python benchmarks/startup.py [--repeats N] [--json FILE]``.

Every import is timed in a new interpreter, in turns with the others. The peer of the runtime is rtmlib (``pip install --no-deps
rtmlib``), which does not need torch either. The import of numpy and OpenCV, which both need, is measured alone.
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
"""Largest import time of the runtime in seconds."""

ALONE = "import numpy, cv2"
OURS = "from yolox_pose import PoseInferencer; from yolox_pose.runtime import load"
PEER = "from rtmlib import YOLOX, RTMPose"
PACKAGES = ("rtmlib", "numpy", "opencv-python-headless", "onnxruntime")


def seconds_of(statement: str) -> float:
    """Return the wall time of an import in a new interpreter, without the start of the interpreter."""
    code = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    root = Path(__file__).resolve().parents[1]
    return float(
        subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True).stdout
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code."""
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
