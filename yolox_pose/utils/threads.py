"""Number of threads while other processes use the same cores.

The threads of an operation wait for each other at its end. If another process holds the core of one of them, all wait until
the scheduler takes that core away again: some milliseconds for an operation of microseconds. Fewer threads, each with a core
of its own, are then many times faster. If the cores are free, all threads are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from yolox_pose.utils.cores import Counters, allowed_cores, find_quota, read_counters

WINDOW = 0.25
"""Seconds between two readings at least. The kernel counts processor time in steps of 0.01 s."""
LASTS = 0.5
"""Seconds that others have to be in the way, less those that they are not, before threads are given up."""
PATIENCE, LONGEST_PATIENCE = 2.0, 60.0
"""Seconds that cores have to be free before threads are added; doubled up to the second figure where adding did not last."""
SETTLED = 30.0
"""Seconds after which added threads count as having lasted."""
WAITING = 0.2
"""Threads that wait for a core, on average, from which others are in the way. Measured: 0.00 to 0.08 without another
process, 0.5 to 1.8 beside one on two cores."""
OTHERS = 0.2
"""Cores that other processes use, on average, from which they are in the way: a process also waits for its own threads."""
MARGIN = 0.25
"""Part of a core that may be missing where a thread gets one."""


class Load(NamedTuple):
    """Use of the cores in a period.

    Attributes:
        seconds: Length of the period.
        waiting: Threads of this process that were ready to run and had no core, on average.
        others: Cores that other processes used, on average.
        idle: Cores that nobody used, on average.
    """

    seconds: float
    waiting: float
    others: float
    idle: float


def load_between(first: Counters, last: Counters, cores: float) -> Load:
    """Compute the load of some cores between two readings."""
    seconds = max(last.time - first.time, 1e-9)
    waited = sum(max(value - first.waited.get(thread, 0.0), 0.0) for thread, value in last.waited.items())
    busy = last.busy - first.busy
    others = max(busy - (last.own - first.own), 0.0)
    return Load(seconds, waited / seconds, others / seconds, max(cores - busy / seconds, 0.0))


class ThreadGovernor:
    """Chooses the number of threads for the next piece of work.

    It lowers the number where threads wait for cores that other processes use, and raises it where cores are free again.

    Args:
        most: Number of threads on a machine of one's own.
        cores: Cores that may be used; None asks the system.
        read: Returns the system's counters, None where there are none: then the number never changes.

    Attributes:
        threads: The number now.
        cores: Cores that may be used.
        others: Cores that other processes used when the number was last lowered.
    """

    def __init__(
        self, most: int, cores: float | None = None, *, read: Callable[[], Counters | None] | None = None
    ) -> None:
        quota = find_quota()
        allowed = float(len(allowed_cores()))
        if quota is not None and quota.cores >= allowed:
            quota = None
        self.most = self.threads = most
        self.cores: float = cores if cores is not None else (quota.cores if quota else allowed)
        self.others = 0.0
        self._read = read or partial(read_counters, quota)
        self._lock = threading.Lock()
        self._last: Counters | None = None
        self._in_the_way = self._free = 0.0
        self._patience, self._since_raised = PATIENCE, SETTLED

    def check(self) -> int:
        """Return the number of threads for the next piece of work. Call it between pieces: it reads counters at intervals."""
        if self.most > 1 and self._lock.acquire(blocking=False):
            try:
                self._measure()
            finally:
                self._lock.release()
        return self.threads

    def update(self, load: Load) -> int:
        """Take the load of a period into account and return the number of threads."""
        self._since_raised += load.seconds
        contended = load.waiting >= WAITING and load.others >= OTHERS
        self._in_the_way = max(self._in_the_way + (load.seconds if contended else -load.seconds), 0.0)
        self._free = self._free + load.seconds if load.idle >= 1 - MARGIN else 0.0
        if self._in_the_way >= LASTS and self.threads > 1:
            self._lower(load)
        elif self._free >= self._patience and self.threads < self.most:
            self._raise(load)
        return self.threads

    def _lower(self, load: Load) -> None:
        """Keep a thread for each core that the others leave, and give up one at least."""
        short_lived = self._since_raised < SETTLED
        self._patience = min(2 * self._patience, LONGEST_PATIENCE) if short_lived else PATIENCE
        self.threads = max(1, min(self.threads - 1, int(self.cores - load.others + MARGIN)))
        self.others, self._in_the_way = load.others, 0.0

    def _raise(self, load: Load) -> None:
        """Add a thread for each free core."""
        self.threads = min(self.most, self.threads + int(load.idle + MARGIN))
        self._free = self._since_raised = 0.0

    def _measure(self) -> None:
        if self._last is not None and time.perf_counter() - self._last.time < WINDOW:
            return
        counters = self._read()
        if counters is None:
            self.most = self.threads  # nothing is known here
            return
        if self._last is not None:
            self.update(load_between(self._last, counters, self.cores))
        self._last = counters
