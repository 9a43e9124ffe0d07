"""Cores of affinity and control groups, and the kernel's counters, from files that are written here."""

import pytest

from yolox_pose.utils import cores
from yolox_pose.utils.cores import find_quota, physical_cores, read_counters, usable_cores


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


@pytest.fixture
def member(tmp_path):
    """Write the file that names the control groups, and return it with the folder of the groups."""

    def name(*lines):
        file = tmp_path / "membership"
        file.write_text("\n".join(lines) + "\n")
        return file, tmp_path / "cgroup"

    return name


@pytest.mark.parametrize(
    ("limit", "expected"), [("150000 100000", 1.5), ("max 100000", None), ("25000 50000", 0.5)], ids=str
)
def test_version_2(member, limit, expected):
    file, root = member("0::/app")
    write(root / "app", cpu__max=limit, cpu__stat="usage_usec 2500000\nuser_usec 1\n")
    quota = find_quota(file, root)
    assert (quota and quota.cores) == expected
    assert quota is None or quota.used() == 2.5


def test_tightest_group_above_counts(member):
    file, root = member("0::/service/app")
    write(root, cpu__max="400000 100000")
    write(root / "service", cpu__max="200000 100000")
    write(root / "service" / "app", cpu__max="max 100000")
    assert find_quota(file, root) == (2.0, root / "service")


def test_inside_a_container_only_the_mount_exists(member):
    file, root = member("0::/../../docker/abc")
    write(root, cpu__max="300000 100000")
    assert find_quota(file, root) == (3.0, root)


@pytest.mark.parametrize(
    ("line", "folder"),
    [("4:cpu,cpuacct:/box", "cpu,cpuacct/box"), ("1:cpu:/box", "cpu/box"), ("4:cpu,cpuacct:/x", "cpu")],
)
def test_version_1(member, line, folder):
    file, root = member("5:memory:/box", line)
    files = {"cpu__cfs_quota_us": "50000\n", "cpu__cfs_period_us": "100000\n", "cpuacct__usage": "3000000000\n"}
    write(root / folder, **files)
    quota = find_quota(file, root)
    assert (quota.cores, quota.used()) == (0.5, 3.0)


def test_no_limit(member):
    file, root = member("1:cpu:/")
    write(root / "cpu", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    assert find_quota(file, root) is None
    assert find_quota(root / "absent", root) is None


@pytest.mark.parametrize(("quota", "expected"), [(None, 3), (0.5, 1), (1.5, 1), (2.0, 2), (8.0, 3)])
def test_usable_cores(monkeypatch, tmp_path, quota, expected):
    monkeypatch.setattr(cores, "allowed_cores", lambda: {0, 1, 5})
    monkeypatch.setattr(cores, "find_quota", lambda: quota and cores.Quota(quota, tmp_path))
    assert usable_cores() == expected


def test_hardware_threads_of_a_core_count_once(monkeypatch, tmp_path):
    for number, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        write(tmp_path / f"cpu{number}" / "topology", thread_siblings_list=siblings)
    monkeypatch.setattr(cores, "CPUS", tmp_path)
    monkeypatch.setattr(cores, "allowed_cores", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(cores, "find_quota", lambda: None)
    assert physical_cores() == 2


@pytest.fixture
def proc(monkeypatch, tmp_path):
    """A folder like ``/proc`` with two threads, cores 0 and 1 of this process, and core 2 of others."""
    monkeypatch.setattr(cores, "PROC", tmp_path)
    monkeypatch.setattr(cores, "allowed_cores", lambda: {0, 1})
    monkeypatch.setattr(cores.os, "sysconf", lambda name: 100)
    write(tmp_path / "self", schedstat="0 0 0")
    for thread, waited in (("7", 1_500_000_000), ("8", 0)):
        write(tmp_path / "self" / "task" / thread, schedstat=f"123 {waited} 9\n")
    rows = [
        "cpu 9 9 9 9 9 9 9 9 0 0",
        "cpu0 100 10 20 999 88 3 2 5 50 0",
        "cpu1 60 0 0 9 0 0 0 0 0 0",
        "cpu2 900 0 0 0 0 0 0 0 0 0",
    ]
    write(tmp_path, stat="\n".join([*rows, "intr 5"]))
    return tmp_path


def test_counters(proc, tmp_path):
    counters = read_counters()
    assert counters.waited == {7: 1.5, 8: 0.0}
    assert counters.busy == pytest.approx(2.0)  # neither waiting nor guests, which user time holds


def test_a_quota_counts_the_time_of_its_group(proc, tmp_path):
    group = write(tmp_path / "group", cpu__stat="usage_usec 7000000\n")
    assert read_counters(cores.Quota(1.0, group)).busy == 7.0
    assert read_counters(cores.Quota(1.0, tmp_path)).busy == pytest.approx(2.0)  # it does not count


def test_no_counters_where_the_kernel_has_none(proc):
    for file in [proc / "self" / "schedstat", *proc.glob("self/task/*/schedstat")]:
        file.unlink()
    assert read_counters() is None
