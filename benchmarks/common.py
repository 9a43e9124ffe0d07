"""Shared code of the benchmarks: timing, versions and the JSON object that each benchmark prints.

``{"benchmark", "device", "versions", "date", "cases": [{"case", "unit", "ours", "peer", "peer_name", "ratio", "equal"}]}``
A ``ratio`` above 1 means that this package is better; ``equal`` tells whether the results were compared and agree. This
module imports nothing of the package that is measured.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # a checkout that is not installed can be measured too

T = TypeVar("T")


def case(
    name: str,
    unit: str,
    ours: float,
    peer: float | None = None,
    peer_name: str | None = None,
    *,
    equal: bool | None = None,
    higher_is_better: bool = False,
    **more: Any,
) -> dict[str, Any]:
    """Return one line of a report.

    Args:
        name: Task and its size.
        unit: Unit of ``ours`` and ``peer``.
        ours: Value of this package.
        peer: Value of the peer; None if it was not measured.
        peer_name: Package and version, or file, of the peer.
        equal: Whether the results agree; None if they were not compared.
        higher_is_better: True for rates, False for times and sizes.
        **more: Further entries of the line.
    """
    ratio = None
    if peer is not None and ours and peer:
        ratio = round(ours / peer if higher_is_better else peer / ours, 3)
    line = {"case": name, "unit": unit, "ours": _rounded(ours), "peer": _rounded(peer), "peer_name": peer_name}
    return {**line, "ratio": ratio, "equal": equal, **more}


def bounded(
    line: dict[str, Any], key: str, *, at_least: float | None = None, at_most: float | None = None
) -> dict[str, Any]:
    """Add a bound on one value of a line, and whether the value is within it.

    Args:
        line: Line made by :func:`case`.
        key: Key of the value, such as ``"ratio"``.
        at_least: Smallest value.
        at_most: Largest value.
    """
    value, bounds = line[key], [f"at least {at_least:g}"] if at_least is not None else []
    bounds += [f"at most {at_most:g}"] if at_most is not None else []
    holds = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
    return {**line, "bound": f"{key} {' and '.join(bounds)}", "within_limit": holds}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def seconds(function: Callable[[], Any], repeats: int = 5, warmup: int = 1) -> float:
    """Return the median wall time of a call in seconds."""
    return interleaved({"": function}, repeats, warmup)[""]


def interleaved(
    functions: Mapping[str, Callable[[], Any]], repeats: int = 5, warmup: int = 1, pause: float = 0.0
) -> dict[str, float]:
    """Return the median wall time of several calls, made in turns, so that a change of the load affects all.

    Args:
        functions: Calls by name.
        repeats: Number of measured rounds.
        warmup: Number of rounds before them.
        pause: Seconds before each call, in which spinning threads of the other runtimes fall asleep.
    """

    def elapsed(function: Callable[[], Any]) -> float:
        time.sleep(pause)
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    return medians({name: partial(elapsed, function) for name, function in functions.items()}, repeats, warmup)


def medians(measures: Mapping[str, Callable[[], float]], repeats: int = 5, warmup: int = 1) -> dict[str, float]:
    """Return the median of several measurements, made in turns; warm-up rounds do not count."""
    values: dict[str, list[float]] = {name: [] for name in measures}
    for turn in range(warmup + repeats):
        for name, measure in measures.items():
            value = measure()
            if turn >= warmup:
                values[name].append(value)
    return {name: statistics.median(measured) for name, measured in values.items()}


def progress(items: Sequence[T], text: Callable[[T], str] = str) -> Iterable[T]:
    """Yield the items, and print the current one to stderr."""
    for number, item in enumerate(items, 1):
        print(f"[{number}/{len(items)}] {text(item)}", file=sys.stderr, flush=True)
        yield item


def device(accelerator: bool = False) -> str:
    """Return the name of the processor, or with ``accelerator`` of the GPU if torch finds one."""
    if accelerator:
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    return f"{_processor()}, {os.cpu_count()} cores"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and of the installed distributions among some."""
    installed = {"python": platform.python_version()}
    for package in packages:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--json FILE``."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the report to this file")


def report(
    benchmark: str,
    cases: Sequence[Mapping[str, Any]],
    *,
    packages: Iterable[str] = (),
    json_file: Path | None = None,
    on: str | None = None,
    made_with: Mapping[str, str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Print the report as JSON, write it if a file is named, and return it.

    Args:
        benchmark: Name of the benchmark.
        cases: Lines made by :func:`case`.
        packages: Distributions whose versions are listed.
        json_file: File to write.
        on: Name of the device; by default the processor.
        made_with: Versions of Python and packages, if the values were measured elsewhere.
        **more: Further entries of the report, such as a note.
    """
    content = {
        "benchmark": benchmark,
        "device": on or device(),
        "versions": made_with or versions(packages),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        **more,
        "cases": list(cases),
    }
    text = json.dumps(content, indent=2)
    print(text)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(text + "\n", encoding="utf-8")
    return content
