"""Errors that a user can mend: shown as one line, without a traceback, by every command.

Commands exit with ``exit_code``: 2 for a wrong call (option, path on the command line), 1 for bad data or files.
"""

from __future__ import annotations


class YOLOXPoseError(Exception):
    """Base of the errors that say in one line what is wrong and what to do. Exit code 1."""

    exit_code = 1


class UsageError(YOLOXPoseError):
    """The command was called wrongly: missing config, unknown device, empty resume folder. Exit code 2."""

    exit_code = 2


class DataError(YOLOXPoseError):
    """Annotations, images or checkpoints do not hold what they should; names file and id. Exit code 1."""


class ImageError(DataError):
    """An image cannot be loaded. Exit code 1.

    The message stays one line when a data-loading worker raises the error: PyTorch builds the exception again from
    ``Caught ImageError in DataLoader worker process 0.`` and the whole traceback, of which only the last line is kept.
    """

    def __init__(self, message: str) -> None:
        if message.startswith("Caught "):
            message = message.strip().splitlines()[-1].partition(": ")[2]
        super().__init__(message)
