"""``yolox-pose SUBCOMMAND``: run the commands of ``tools/`` from any folder. A command is imported when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from yolox_pose.cli import run
from yolox_pose.errors import UsageError
from yolox_pose.utils.text import did_you_mean
from yolox_pose.version import __version__

COMMANDS = {
    "install": ("install", "install the training stack, from wheels only"),
    "compat": ("compat", "show versions and the filled gaps of the OpenMMLab stack"),
    "train": ("train", "train a model or resume a training"),
    "test": ("test", "evaluate a checkpoint"),
    "evaluate": ("evaluate", "compute COCO keypoint or box AP of a predictions file"),
    "predict": ("predict", "detect poses in images and videos; draw them and write JSON"),
    "serve": ("serve", "serve a local web page that draws poses on dropped images"),
    "weights": ("weights", "list, download, check and remove published weights"),
    "dataset": ("dataset", "check, count, draw, convert or synthesize data"),
    "quickstart": ("quickstart", "synthesize data, train a small model, evaluate it and draw predictions"),
    "convert": ("convert", "convert checkpoints between implementations"),
    "export": ("export", "export a model to ONNX and other formats"),
    "analyze": ("analyze", "count parameters and operations of a model; draw training curves"),
    "completion": ("completion", "print a script for the Tab key of your shell"),
}
"""Subcommand to its module in :mod:`yolox_pose.cli` and a line of help. Subcommands without a module are hidden."""


def commands() -> dict[str, tuple[str, str]]:
    """Return the subcommands whose module exists, without importing them."""
    return {name: entry for name, entry in COMMANDS.items() if find_spec(f"yolox_pose.cli.{entry[0]}")}


def usage() -> str:
    """Return the help text that lists every subcommand."""
    lines = [f"  {name:<12} {text}" for name, (_, text) in commands().items()]
    return "\n".join(
        [
            "usage: yolox-pose SUBCOMMAND [options]",
            "",
            "Multi-person pose estimation on YOLOX for the OpenMMLab stack.",
            "",
            "subcommands (each has --help):",
            *lines,
            "",
            "options:",
            "  -h, --help   show this help",
            "  --version    show the version",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Call ``main`` of a subcommand with the remaining arguments.

    Raises:
        UsageError: If there is no such subcommand.
    """
    if "_ARGCOMPLETE" in os.environ:
        importlib.import_module("yolox_pose.cli.completion").complete(commands())
    name, *rest = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name == "--version":
        print(f"yolox-pose {__version__}")
        return 0
    if name not in commands():
        raise UsageError(f"unknown subcommand '{name}'; choose from {', '.join(commands())}{_suggestion(name)}")
    module = importlib.import_module(f"yolox_pose.cli.{COMMANDS[name][0]}")
    return module.main(rest)


def _suggestion(name: str) -> str:
    """Return a question that names the closest subcommand, or ``predict`` for a file."""
    if Path(name).exists():
        return f"; did you mean 'yolox-pose predict {name}'?"
    return did_you_mean(name, commands())


def entry() -> int:
    """Run the console script."""
    return run(main)


if __name__ == "__main__":
    raise SystemExit(entry())
