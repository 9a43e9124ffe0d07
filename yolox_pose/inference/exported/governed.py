"""Exported networks with fewer threads while other processes use the same processor cores."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from yolox_pose.errors import YOLOXPoseError
from yolox_pose.utils.cores import physical_cores, usable_cores
from yolox_pose.utils.threads import ThreadGovernor

if TYPE_CHECKING:
    from yolox_pose.inference.exported.backends import Backend

logger = logging.getLogger(__name__)


class GovernedBackend:
    """A backend that is opened again with another number of threads where a governor chooses one.

    Args:
        open_with: Opens the network with a number of threads, None for the runtime's default.
        governor: Chooses the number; None makes one.

    Attributes:
        full: The network with all threads, which stays open.
    """

    def __init__(self, open_with: Callable[[int | None], Backend], governor: ThreadGovernor | None = None) -> None:
        self.governor = governor or ThreadGovernor(min(physical_cores(), usable_cores()))
        self._open = open_with
        limited = usable_cores() < physical_cores()  # by a quota, which the runtimes do not know
        self.full = self._now = open_with(self.governor.most if limited else None)
        self._threads = self.governor.most
        self._fixed: bool = getattr(self.full, "on_gpu", False)
        self._told = False

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name."""
        wanted = self._threads if self._fixed else self.governor.check()
        if wanted != self._threads:
            self._change(wanted)
        return self._now(images)

    def _change(self, threads: int) -> None:
        try:
            self._now = self.full if threads == self.governor.most else self._open(threads)
        except YOLOXPoseError as error:  # the file may be gone
            logger.debug("the number of threads stays: %s", error)
            self._fixed = True
            return
        self._threads = threads
        if not self._told:
            self._told = True
            logger.warning(
                "other processes use %.1f of %g processor cores: the network uses %d instead of %d threads while they do. "
                "Pass threads= to keep the number",
                self.governor.others, self.governor.cores, threads, self.governor.most,
            )  # fmt: skip
