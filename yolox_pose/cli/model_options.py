"""Options that name a model: ``[CONFIG] CHECKPOINT`` and ``--weights-dir``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from yolox_pose.weights import find_model
from yolox_pose.weights.store import FOLDERS_VARIABLE

WEIGHTS_HELP = "a file, a name that 'yolox-pose weights list' shows, such as s, or a URL"


class _WeightsFolder(argparse.Action):
    """Add a folder to the search for weights, for this process and the processes that it starts."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        others = os.environ.get(FOLDERS_VARIABLE)
        os.environ[FOLDERS_VARIABLE] = os.pathsep.join(filter(None, [values, others]))


def add_weights_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add ``--weights-dir``."""
    parser.add_argument(
        "--weights-dir",
        action=_WeightsFolder,
        default=argparse.SUPPRESS,
        metavar="DIR",
        help=f"folder with files of published weights, searched before a download (also {FOLDERS_VARIABLE})",
    )


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``[CONFIG] CHECKPOINT`` (:func:`choose_positional_model`). Parse with ``parse_intermixed_args``."""
    parser.add_argument(
        "config",
        metavar="CONFIG",
        help="config file, or the name of a config of this package; leave it out for weights that imply their config",
    )
    parser.add_argument(
        "checkpoint", nargs="?", metavar="CHECKPOINT", help=f"weights in any known layout: {WEIGHTS_HELP}; or bundled"
    )
    add_weights_option(parser)


def choose_positional_model(config: str, checkpoint: str | None) -> tuple[str, Path]:
    """Return the config and the weights that ``[CONFIG] CHECKPOINT`` names. A single argument is the checkpoint.

    Raises:
        UsageError: If the weights do not exist, or no config belongs to them.
    """
    return find_model(None, config) if checkpoint is None else find_model(config, checkpoint)
