"""List, download, locate, check and remove published weights: ``yolox-pose weights``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from yolox_pose.cli.common import CommandParser
from yolox_pose.cli.model_options import add_weights_option
from yolox_pose.coco.results import METRICS_FILE
from yolox_pose.errors import DataError, UsageError, YOLOXPoseError
from yolox_pose.utils.json_files import read_json
from yolox_pose.weights import BUNDLED, BUNDLED_NAME
from yolox_pose.weights.download import megabytes
from yolox_pose.weights.store import (
    find_local,
    get_weights,
    partial_downloads,
    remove_weights,
    store_folder,
)
from yolox_pose.weights.table import KINDS, PublishedModel, find_published, published_models, similar_names

EXAMPLES = """examples:
  yolox-pose weights list
  yolox-pose weights get s m
  yolox-pose weights path s
  yolox-pose weights verify
  yolox-pose weights verify --all --evaluate data/coco
  yolox-pose weights prune yolox-x
"""

METRICS = {"COCO keypoints": "coco/AP", "COCO boxes": "coco/bbox_mAP"}
"""Published metric to the entry of ``metrics.json`` that measures the same."""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    parser = CommandParser(
        prog="yolox-pose weights",
        description="List, download, locate, check and remove published weights.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("list", help="show the table of published weights")
    command.add_argument(
        "--all", action="store_true", help="also show ONNX files, RTMO, and every release of a detector"
    )
    command.add_argument("--kind", choices=KINDS, help="show only this kind")
    command.set_defaults(run=list_weights)

    command = commands.add_parser("get", help="download weights, and print their paths")
    _add_names(command, "+")
    command.set_defaults(run=download_weights)

    command = commands.add_parser("path", help="print the path of weights that are on this machine")
    _add_names(command, "+")
    command.set_defaults(run=print_paths)

    command = commands.add_parser("verify", help="check the hash of weights, and measure their AP")
    _add_names(command, "*")
    command.add_argument("--all", action="store_true", help="download and check every file of the table")
    command.add_argument(
        "--evaluate",
        metavar="DIR",
        help="also evaluate each model on COCO in DIR, and print AP beside the published one",
    )
    command.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="settings of the evaluated configs"
    )
    command.set_defaults(run=verify_weights)

    command = commands.add_parser("prune", help="remove partial downloads, and weights by name")
    _add_names(command, "*")
    command.add_argument("--all", action="store_true", help="remove every downloaded file")
    command.set_defaults(run=prune_weights)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    args = build_parser().parse_args(argv)
    return args.run(args)


def _add_names(parser: argparse.ArgumentParser, count: str) -> None:
    parser.add_argument("names", nargs=count, metavar="NAME", help="name, alias or file name of published weights")
    add_weights_option(parser)


def list_weights(args: argparse.Namespace) -> int:
    """Print the table of published weights; returns the exit code."""
    models = [model for model in published_models() if args.kind in (None, model.kind)]
    if not args.all and args.kind is None:
        models = [model for model in models if _is_short(model)]
    rows = [("name", "kind", "input", "score", "of", "by", "license", "here")]
    if args.kind in (None, "pose"):
        rows.append(
            (BUNDLED_NAME, "pose", BUNDLED.config.rpartition("-")[2], "", "", "this package", "Apache-2.0", "yes")
        )
    for model in models:
        score = "" if model.score is None else f"{model.score:.3f}"
        rows.append(
            (model.name, model.kind, model.input, score, model.metric, model.publisher, model.license, _state(model))
        )
    print(_table(rows))
    if not args.all and args.kind is None:
        print(f"{len(published_models()) - len(models)} more with --all; downloads go to {store_folder()}")
    return 0


def _is_short(model: PublishedModel) -> bool:
    """Return whether a model is one that its size alone names: ``s``, ``yolox-s``, or of another table."""
    return model.kind == "pose" and "-" not in model.name or model.kind == "detector" and model.name.count("-") == 1


def _state(model: PublishedModel) -> str:
    local = find_local(model)
    return "" if local is None else "damaged" if local.problem else megabytes(local.path.stat().st_size)


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def _find(names: Iterable[str]) -> list[PublishedModel]:
    """Return the rows of names.

    Raises:
        UsageError: If there is no such name.
    """
    models = []
    for name in names:
        model = find_published(name)
        if model is None:
            near = similar_names(name)
            hint = f"did you mean {' or '.join(near)}?" if near else "see 'yolox-pose weights list --all'"
            raise UsageError(f"no published weights are called {name!r}; {hint}")
        models.append(model)
    return models


def download_weights(args: argparse.Namespace) -> int:
    """Download weights and print their paths; returns the exit code."""
    for model in _find(args.names):
        print(get_weights(model))
    return 0


def print_paths(args: argparse.Namespace) -> int:
    """Print the paths of weights without a download; returns the exit code.

    Raises:
        DataError: If weights are not on this machine; names the path for a copy.
    """
    for model in _find(args.names):
        local = find_local(model)
        if local is None:
            raise DataError(
                f"{model.name} is not on this machine; get it by 'yolox-pose weights get {model.name}', or copy {model.url} "
                f"to {store_folder() / model.file}"
            )
        print(local.path)
    return 0


def verify_weights(args: argparse.Namespace) -> int:
    """Check hashes, and AP if asked for; returns 1 if a file is damaged or cannot be had.

    Raises:
        UsageError: If the folder of the data does not exist.
    """
    if args.evaluate is not None and not Path(args.evaluate).is_dir():
        raise UsageError(f"--evaluate: {args.evaluate} is not a folder")
    models = list(published_models()) if args.all else _find(args.names)
    if not models:
        models = [model for model in published_models() if find_local(model) is not None]
        if not models:
            print("no published weights are on this machine; --all downloads and checks every file")
            return 0

    failed = 0
    for model in models:
        line, good = _verify(model, args.evaluate, args.cfg_options)
        print(f"{model.name}: {line}", flush=True)
        failed += not good
    print(f"{len(models) - failed} of {len(models)} files are good")
    return DataError.exit_code if failed else 0


def _verify(model: PublishedModel, data: str | None, options: Sequence[str]) -> tuple[str, bool]:
    """Return what was found out about a file, in a line, and whether it is good."""
    try:
        get_weights(model)
        local = find_local(model, fresh=True)
        if local is not None and local.problem:
            return f"failed: {local.path}: {local.problem}", False
        line = f"SHA-256 {model.sha256}" if model.sha256 else "SHA-256 as on its first use"
        if data is not None and model.config:
            line += f", {_evaluate(model, data, options)}"
    except YOLOXPoseError as error:
        return f"failed: {error}", False
    return line, True


def _evaluate(model: PublishedModel, data: str, options: Sequence[str]) -> str:
    """Return the measured and the published score in words, from a run in a process of its own.

    Raises:
        DataError: If the run fails; shows its last line.
    """
    key = METRICS.get(model.metric)
    if key is None or model.kind not in ("pose", "detector"):
        return f"not evaluated: {model.metric} is measured on other data"
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(
                sys.executable,
                "-m",
                "yolox_pose.cli.main",
                "test",
                model.name,
                "--data",
                data,
                "--out",
                f"{folder}/out",
            ),
            *("--work-dir", f"{folder}/log"),
            *(["--cfg-options", *options] if options else []),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise DataError(f"evaluation: {lines[-1].removeprefix('error: ')}")
        metrics = read_json(Path(folder) / "out" / METRICS_FILE, "metrics")
    published = "unknown" if model.score is None else f"{model.score:.3f}"
    return f"AP {metrics[key]:.3f} measured, {published} published ({model.metric}, {model.publisher})"


def prune_weights(args: argparse.Namespace) -> int:
    """Remove partial downloads, and the files of models that are named; returns the exit code."""
    removed = partial_downloads()
    for path in removed:
        path.unlink()
    for model in published_models() if args.all else _find(args.names):
        removed += remove_weights(model)
    for path in removed:
        print(f"removed: {path}")
    if not removed:
        print(f"nothing to remove in {store_folder()}")
    return 0
