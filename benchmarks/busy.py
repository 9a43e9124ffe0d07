"""Speed alone and beside one spinning process, with threads that follow the load against a fixed number of threads.

``python benchmarks/busy.py [--only WORD ...] [--json FILE]``. The cases are a training step of the quickstart, the target
assignment, ``predict`` with the bundled model, and the network of that model in every runtime that is installed. Each has
two lines:

- *alone*: both sides in turns; ``ratio`` has to be at least 0.95.
- *beside a spinning process*: ``slowdown`` is our time divided by our time alone and has to be at most 3. ``settle_s`` is
  how long the number of threads took to adapt; the calls until then do not count.

The peer is the same code with the default number of threads, which nothing changes. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from common import ROOT, add_json_option, bounded, case, interleaved, progress, report, seconds

LEAST_ALONE, MOST_BUSY = 0.95, 3.0
PEER = "fixed number of threads"
SETTLE_SECONDS = 20.0
"""Longest wait for another number of threads."""
CALLS = 20
"""Calls of an exported network that are timed together."""


class Work(NamedTuple):
    """Something to time.

    Attributes:
        ours: One unit of work, with the number of threads that our code chooses.
        fixed: The same with the default number.
        threads: The number of threads of ``ours`` now.
    """

    ours: Callable[[], Any]
    fixed: Callable[[], Any]
    threads: Callable[[], int]


@contextlib.contextmanager
def spinning() -> Iterator[None]:
    """Run a process that never waits."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def torch_work(function: Callable[[], Any], threads: int) -> Work:
    """Time a function of torch; ours checks the number of threads before it, as the hook of a training does."""
    import torch

    from yolox_pose.ops.threads import TorchThreads

    torch.set_num_threads(threads)
    watch = TorchThreads()

    def ours() -> None:
        watch.check()
        function()

    def fixed() -> None:
        torch.set_num_threads(threads)
        function()

    return Work(ours, fixed, torch.get_num_threads)


def quickstart_step(threads: int) -> Work:
    """Time preprocessing, forward, losses, backward and optimizer: 16 images of 160 px, 3 people each."""
    from mmengine.config import Config
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import DefaultScope
    from train_step import make_batch

    import yolox_pose.engine  # noqa: F401
    from yolox_pose.registry import MODELS

    config = Config.fromfile(ROOT / "configs" / "quickstart" / "yolox-pose_quickstart_160.py")
    with DefaultScope.overwrite_default_scope("yolox_pose"):
        model: Any = MODELS.build(config.model).train()
        wrapper = build_optim_wrapper(model, config.optim_wrapper)
    batch = make_batch(images=16, side=160, people=3, ours=True)
    return torch_work(lambda: model.train_step(copy.deepcopy(batch), wrapper), threads)


def assignment(threads: int) -> Work:
    """Time SimOTA of 32 images of 640 px, 10 people each."""
    from assign import assign, make_batch

    batch = make_batch(32, 10, 17, "cpu")
    return torch_work(lambda: assign(batch), threads)


def predict(threads: int) -> Work:
    """Time eight photographs with the bundled model in PyTorch, decoding included."""
    import torch

    from yolox_pose import PoseInferencer
    from yolox_pose.ops.threads import TorchThreads

    torch.set_num_threads(threads)
    pose, watch = PoseInferencer(device="cpu"), TorchThreads()
    photos = [str(path) for path in sorted((ROOT / "demo").glob("*.jpg"))]
    photos = (photos * 8)[:8]

    def run(watched: TorchThreads | None) -> None:
        if watched is None:
            torch.set_num_threads(threads)
        pose.network.threads = watched  # type: ignore[attr-defined]
        list(pose(photos))

    return Work(lambda: run(watch), lambda: run(None), torch.get_num_threads)


def exported(backend: str, folder: Path) -> Work:
    """Time the bundled model's network in one runtime, one image at a time, :data:`CALLS` of them."""
    import numpy as np

    from yolox_pose.export.exporting import export_model
    from yolox_pose.export.options import ExportOptions
    from yolox_pose.runtime import load
    from yolox_pose.weights import BUNDLED_NAME, find_model

    kind = "ncnn" if backend == "ncnn" else "onnx"
    if not (folder / kind).exists():
        export_model(*find_model(None, BUNDLED_NAME), folder / kind, ExportOptions(kind))
    path = next(path for path in (folder / kind).iterdir() if path.suffix in (".onnx", ".param"))
    network: Any = load(path, backend=backend).network
    images = np.random.default_rng(0).uniform(0, 255, (1, 3, *network.preprocessing.size[::-1])).astype(np.float32)

    def run(function: Callable[[Any], Any]) -> None:
        for _ in range(CALLS):
            function(images)

    governed = network.backend
    return Work(lambda: run(governed), lambda: run(governed.full), lambda: governed.governor.threads)


def measure(name: str, work: Work, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure a case and return its two lines."""
    work.ours()
    most = work.threads()
    alone = interleaved({"ours": work.ours, "fixed": work.fixed}, args.repeats, warmup=2)
    with spinning():
        settle = _settle(work, most)
        busy, threads = seconds(work.ours, args.repeats), work.threads()
    with spinning():  # last: our side takes another number for the user's and keeps it
        fixed = seconds(work.fixed, args.busy_repeats, warmup=0)
    first = case(f"{name}, alone", "s", alone["ours"], alone["fixed"], PEER)
    second = case(f"{name}, beside a spinning process", "s", busy, fixed, PEER)
    slowdown = {"slowdown": round(busy / alone["ours"], 2), "slowdown_fixed": round(fixed / alone["fixed"], 2)}
    second.update(slowdown, threads=f"{threads} of {most}", settle_s=round(settle, 2))
    return [bounded(first, "ratio", at_least=LEAST_ALONE), bounded(second, "slowdown", at_most=MOST_BUSY)]


def _settle(work: Work, most: int) -> float:
    """Work until the number of threads changes, and return the seconds that this took."""
    start = time.perf_counter()
    while work.threads() == most and time.perf_counter() - start < SETTLE_SECONDS:
        work.ours()
    return time.perf_counter() - start


def works(folder: Path, threads: int) -> dict[str, Callable[[], Work]]:
    """Return the functions that prepare each case, by its name."""
    found: dict[str, Callable[[], Work]] = {
        "quickstart training step, 16 images of 160 px": lambda: quickstart_step(threads),
        "assignment, 32 images of 10 people": lambda: assignment(threads),
        "predict, 8 photographs, bundled model": lambda: predict(threads),
    }
    needs = {
        "onnxruntime": ("onnxruntime", "onnxscript"),
        "openvino": ("openvino", "onnxscript"),
        "ncnn": ("ncnn", "pnnx"),
    }
    for backend, packages in needs.items():
        if all(map(find_spec, packages)):
            found[f"{backend}, {CALLS} images, bundled model"] = lambda backend=backend: exported(backend, folder)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code, 1 if a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="WORD", help="cases whose name has one of these words")
    parser.add_argument("--repeats", type=int, default=15, help="units of each; the median counts (default: 15)")
    parser.add_argument("--busy-repeats", type=int, default=5, help="units with a fixed number when busy (default: 5)")
    add_json_option(parser)
    args = parser.parse_args(argv)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.pop(variable, None)  # read when torch is loaded; a number that is set there stays
    import torch

    from yolox_pose import compat

    compat.install()
    import yolox_pose.registry  # noqa: F401

    threads = torch.get_num_threads()
    warnings.filterwarnings("ignore")
    logging.getLogger("yolox_pose").setLevel(logging.ERROR)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        chosen = {
            name: make
            for name, make in works(Path(folder), threads).items()
            if not args.only or any(word in name for word in args.only)
        }
        for name in progress(list(chosen)):
            lines += measure(name, chosen[name](), args)
    packages = ("torch", "mmengine", "onnxruntime", "openvino", "ncnn", "numpy")
    report("busy", lines, packages=packages, json_file=args.json)
    return int(not all(line["within_limit"] for line in lines))


if __name__ == "__main__":
    raise SystemExit(main())
