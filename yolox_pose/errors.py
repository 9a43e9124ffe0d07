"""Errors that the user can fix. Every command shows them as one line, without a traceback.

A command exits with the error's ``exit_code``: 2 for wrong arguments, 1 for bad data or files.
"""

from __future__ import annotations


class YOLOXPoseError(Exception):
    """Base class of errors whose message says in one line what is wrong and what to do. Exit code 1."""

    exit_code = 1


class UsageError(YOLOXPoseError):
    """Wrong arguments: a config that does not exist, an unknown device, a work dir without checkpoints. Exit code 2."""

    exit_code = 2


class DataError(YOLOXPoseError):
    """Annotations, images or checkpoints that cannot be used; the message names file and id. Exit code 1."""


class ImageError(DataError):
    """An image that cannot be loaded. Exit code 1.

    PyTorch raises the error of a data-loading worker again, with the whole traceback as its message, which begins with
    ``Caught ImageError in DataLoader worker process 0.``. Only the last line of this message is kept.
    """

    def __init__(self, message: str) -> None:
        if message.startswith("Caught "):
            message = message.strip().splitlines()[-1].partition(": ")[2]
        super().__init__(message)
