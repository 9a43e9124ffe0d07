"""PyTorch's number of threads on a machine that others use too: see :mod:`yolox_pose.utils.threads`."""

from __future__ import annotations

import functools
import os
import threading

import torch

from yolox_pose.utils.cores import allowed_cores, physical_cores, usable_cores
from yolox_pose.utils.threads import ThreadGovernor

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which the user chooses the number of threads; then nothing here changes it."""


class TorchThreads:
    """Keeps PyTorch's number of threads at what a governor chooses.

    A number that the user sets wins: by one of :data:`VARIABLES`, or by ``torch.set_num_threads`` with a number that is not
    torch's default, or later not the last one that was set here. Then :meth:`check` does nothing.

    Args:
        governor: Chooses the number; None makes one.
    """

    def __init__(self, governor: ThreadGovernor | None = None) -> None:
        self.governor: ThreadGovernor | None = None
        number = torch.get_num_threads()
        if not any(os.environ.get(name) for name in VARIABLES) and number in default_numbers():
            self.governor = governor or ThreadGovernor(min(number, usable_cores()))
        self._own = threading.local()  # torch's number is one of the calling thread
        self._told = False

    def check(self) -> str | None:
        """Set the number of threads for the next operations; return a message when it is lowered for the first time.

        Call it between pieces of work, in the thread that does them.
        """
        if self.governor is None:
            return None
        current = torch.get_num_threads()
        if getattr(self._own, "threads", current) != current:
            self.governor = None
            return None
        wanted = self.governor.check()
        if wanted != current:
            torch.set_num_threads(wanted)
        self._own.threads = wanted
        if self._told or wanted == self.governor.most:
            return None
        self._told = True
        return (
            f"other processes use {self.governor.others:.1f} of {self.governor.cores:g} processor cores: PyTorch uses "
            f"{wanted} instead of {self.governor.most} threads while they do. Set OMP_NUM_THREADS to keep the number"
        )


def default_numbers() -> set[int]:
    """Return the numbers of threads that torch chooses by itself, which depends on the libraries that it was built with."""
    return {physical_cores(), len(allowed_cores())}


@functools.cache
def torch_threads() -> TorchThreads:
    """Return what sets the number of threads in this process."""
    return TorchThreads()
