"""``yolox-pose SUBCOMMAND``: runs the commands of ``tools/`` from anywhere. A command is imported when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from yolox_pose.cli import run
from yolox_pose.errors import UsageError
from yolox_pose.version import __version__

COMMANDS = {
    "install": ("install", "install what training needs, from wheels only"),
    "compat": ("compat", "show versions, and which gaps of the OpenMMLab stack are filled"),
    "train": ("train", "train a model, or resume a training"),
    "test": ("test", "evaluate a checkpoint"),
    "evaluate": ("evaluate", "COCO keypoint or box AP of a predictions file"),
    "predict": ("predict", "draw poses on images and folders, and write them as JSON"),
    "serve": ("serve", "a local web page: drop an image, see poses"),
    "weights": ("weights", "list, download, check and remove published weights"),
    "dataset": ("dataset", "check, count, browse, convert or synthesize data"),
    "quickstart": ("quickstart", "synthesize data, train a small model on it, evaluate and draw it"),
    "convert": ("convert", "convert a checkpoint of another implementation"),
    "export": ("export", "export a model to ONNX and other formats"),
    "analyze": ("analyze", "parameters and operations of a model; curves of trainings"),
}
"""Subcommand to module of :mod:`yolox_pose.cli` and one line of help; only those that exist are offered."""


def commands() -> dict[str, tuple[str, str]]:
    """Return the subcommands whose module is there, without importing them."""
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
    """Hand the arguments after the subcommand to its ``main``.

    Raises:
        UsageError: If there is no such subcommand.
    """
    name, *rest = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name == "--version":
        print(f"yolox-pose {__version__}")
        return 0
    if name not in commands():
        raise UsageError(f"unknown subcommand '{name}'; there are: {', '.join(commands())}")
    module = importlib.import_module(f"yolox_pose.cli.{COMMANDS[name][0]}")
    return module.main(rest)


def entry() -> int:
    """Run the console script."""
    return run(main)


if __name__ == "__main__":
    raise SystemExit(entry())
