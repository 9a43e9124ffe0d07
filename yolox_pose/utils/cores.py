"""Processor cores that this process may use, and how busy they are. Linux tells both; elsewhere only the count is known."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")
CPUS = Path("/sys/devices/system/cpu")


class Quota(NamedTuple):
    """Limit of the processor time of a container or a service.

    Attributes:
        cores: Seconds of processor time per second.
        folder: The control group that sets the limit.
    """

    cores: float
    folder: Path

    def used(self) -> float | None:
        """Return the seconds of processor time that the control group has used, None if it does not count them."""
        for line in _lines(self.folder / "cpu.stat"):
            key, _, value = line.partition(" ")
            if key == "usage_usec":
                return int(value) / 1e6
        for line in _lines(self.folder / "cpuacct.usage"):
            return int(line) / 1e9
        return None


class Counters(NamedTuple):
    """Seconds that have been counted up to a moment; differences of two describe the time between them.

    Attributes:
        time: Of a clock that never goes back.
        waited: Time that each thread of this process was ready to run and had no core, by thread id.
        own: Processor time of this process.
        busy: Processor time of all processes on the cores that this process may use.
    """

    time: float
    waited: dict[int, float]
    own: float
    busy: float


def usable_cores() -> int:
    """Return how many processor cores this process may use: its affinity, limited by the quota of its container."""
    cores = float(len(allowed_cores()))
    quota = find_quota()
    return max(1, int(min(cores, quota.cores) if quota else cores))


def physical_cores() -> int:
    """Return the size of the affinity of this process when two hardware threads of one core count once."""
    siblings = {
        next(_lines(CPUS / f"cpu{number}/topology/thread_siblings_list"), str(number)) for number in allowed_cores()
    }
    return len(siblings)


def allowed_cores() -> set[int]:
    """Return the numbers of the cores in the affinity of this process."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def find_quota(membership: Path = PROC / "self/cgroup", root: Path = CGROUPS) -> Quota | None:
    """Return the tightest processor quota of the control groups, version 1 or 2, that this process is in.

    Args:
        membership: File that names the control groups of this process.
        root: Where the control groups are mounted.

    Returns:
        The quota, None if no group has one.
    """
    quotas = []
    for line in _lines(membership):
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for mount in (root / controllers, root / "cpu") if controllers else (root,):
            for folder in _up(path, mount):
                cores = _quota_cores(folder)
                if cores is not None:
                    quotas.append(Quota(cores, folder))
    return min(quotas, default=None)


def read_counters(quota: Quota | None = None) -> Counters | None:
    """Read what the kernel counts; None where it does not count the time that threads wait for a core.

    Args:
        quota: Count the processor time of this control group instead of that of the cores.
    """
    try:
        waited = {int(task.name): _waited(task) for task in (PROC / "self/task").iterdir()}
        busy = quota.used() if quota else None
        if busy is None:
            busy = _busy(allowed_cores())
    except (OSError, ValueError, IndexError):
        return None
    return Counters(time.perf_counter(), waited, time.process_time(), busy)


def _up(path: str, mount: Path) -> Iterator[Path]:
    """Folders of a group and of those above it; inside a container only the mount itself may exist."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for length in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:length])


def _quota_cores(folder: Path) -> float | None:
    for line in _lines(folder / "cpu.max"):  # version 2: "200000 100000" or "max 100000"
        limit, _, length = line.partition(" ")
        return None if limit == "max" else int(limit) / int(length)
    quota = int(next(_lines(folder / "cpu.cfs_quota_us"), "-1"))
    period = int(next(_lines(folder / "cpu.cfs_period_us"), "0"))
    return quota / period if quota > 0 and period > 0 else None


def _waited(task: Path) -> float:
    """Seconds on the run queue of one thread, 0 if it has ended."""
    try:
        return int((task / "schedstat").read_text().split()[1]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        if not (PROC / "self/schedstat").exists():
            raise
        return 0.0


def _busy(cores: set[int]) -> float:
    """Seconds of processor time used on some cores, time that a hypervisor took included."""
    ticks = 0
    for line in _lines(PROC / "stat"):
        name, *values = line.split()
        if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in cores:
            user, nice, system, _, _, irq, softirq, stolen = map(int, values[:8])
            ticks += user + nice + system + irq + softirq + stolen
    return ticks / os.sysconf("SC_CLK_TCK")


def _lines(path: Path) -> Iterator[str]:
    """Lines of a file; none if it cannot be read."""
    try:
        yield from path.read_text().splitlines()
    except OSError:
        return
