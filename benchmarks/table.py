"""Write the tables of the guides from the reports in ``benchmarks/results/``.

``python benchmarks/table.py`` replaces the text between the two marks of each guide in :data:`TABLES`; ``--check`` only tells
whether the guides are up to date. Absent reports have no rows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS, GUIDES = ROOT / "benchmarks" / "results", ROOT / "docs"
TABLES = {
    "performance.md": ("assign", "data", "train_step"),
    "learning.md": ("trials",),
    "inference.md": ("inference", "nms", "tracking"),
    "export.md": ("export", "export_ap", "startup"),
    "crowds.md": ("crowd_nms",),
}
"""Benchmarks whose reports a guide shows, in order."""
START, END = "<!-- made by benchmarks/table.py -->", "<!-- end -->"
HEADER = ("what", "ours", "peer", "ratio", "same results", "remark")


def rows_of(report: Mapping[str, Any]) -> list[str]:
    """Return the Markdown lines of a report: a heading, and one row per case, except those with ``in_table`` false."""
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    lines = [f"**{report['benchmark']}**: {report['device']}; {report['date']}; {versions}", ""]
    lines += [f"| {' | '.join(HEADER)} |", f"|{'-|' * len(HEADER)}"]
    return [*lines, *(_row(case) for case in report["cases"] if case.get("in_table", True)), ""]


def _row(case: Mapping[str, Any]) -> str:
    same = {True: "yes", False: "no", None: "–"}[case.get("equal")]
    cells = (
        case["case"],
        _figure(case.get("ours"), case["unit"]),
        _figure(case.get("peer"), case["unit"]),
        "–" if case.get("ratio") is None else f"{case['ratio']:.2f}",
        same,
        _remark(case),
    )
    return f"| {' | '.join(cells)} |"


def _figure(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.4g}" + ("" if unit == "-" else f" {unit}")


def _remark(case: Mapping[str, Any]) -> str:
    parts = [str(case["note"])] if "note" in case else []
    if "limit" in case:
        parts.append(f"limit {case['limit']} {case['unit']}")
    if "bound" in case:
        parts.append(case["bound"])
    if "parts_ms" in case:
        parts.append(", ".join(f"{name} {value:.1f} ms" for name, value in case["parts_ms"].items()))
    return "; ".join(parts) or "–"


def table(benchmarks: Sequence[str], results: Path = RESULTS) -> str:
    """Return the tables of all reports of some benchmarks, in order."""
    paths = [path for name in benchmarks for path in sorted(results.glob(f"{name}_[cg]pu.json"))]
    return "\n".join(line for path in paths for line in rows_of(json.loads(path.read_text(encoding="utf-8"))))


def with_table(guide: str, content: str) -> str:
    """Return the guide with new content between its marks.

    Raises:
        ValueError: If a mark is missing.
    """
    before, start, rest = guide.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"the guide has no marks {START} and {END}")
    return f"{before}{START}\n\n{content}\n{END}{after}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; with ``--check`` the exit code is 1 if a guide is out of date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing")
    args = parser.parse_args(argv)
    stale = 0
    for name, benchmarks in TABLES.items():
        path = GUIDES / name
        guide = path.read_text(encoding="utf-8")
        made = with_table(guide, table(benchmarks))
        stale |= made != guide
        if args.check:
            print(f"{name} is {'up to date' if made == guide else 'out of date: python benchmarks/table.py'}")
        else:
            path.write_text(made, encoding="utf-8")
    return int(args.check and stale)


if __name__ == "__main__":
    raise SystemExit(main())
