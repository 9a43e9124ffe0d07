"""Threads that are given up beside other processes and come back, and a number that the user set and that stays."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from yolox_pose.engine.hooks import ThreadsHook
from yolox_pose.errors import DataError
from yolox_pose.inference.exported.governed import GovernedBackend
from yolox_pose.ops import threads as torch_threads
from yolox_pose.ops.threads import VARIABLES, TorchThreads
from yolox_pose.utils.cores import Counters
from yolox_pose.utils.threads import Load, ThreadGovernor, load_between

ALONE = Load(1.0, waiting=0.05, others=0.02, idle=0.1)
BESIDE_ONE = Load(1.0, waiting=0.75, others=0.7, idle=0.0)
FREE = Load(1.0, waiting=0.0, others=0.02, idle=0.98)
TAKEN = Load(1.0, waiting=0.0, others=1.0, idle=0.0)


def numbers(governor, *loads):
    return [governor.update(load) for load in loads]


def test_load_between():
    first = Counters(10.0, {1: 1.0, 2: 5.0}, own=20.0, busy=100.0)
    last = Counters(12.0, {1: 1.5, 3: 0.5}, own=22.5, busy=103.5)  # thread 2 has ended, thread 3 has begun
    assert load_between(first, last, cores=2) == Load(2.0, waiting=0.5, others=0.5, idle=0.25)


def test_alone_all_threads_stay():
    assert numbers(ThreadGovernor(2, 2), *[ALONE] * 100) == [2] * 100


@pytest.mark.parametrize(
    "load",
    [Load(1.0, 0.0, 1.0, 0.0), Load(1.0, 0.9, 0.1, 0.0)],
    ids=["others on cores that are not needed", "threads of this process wait for each other"],
)
def test_both_signs_are_needed(load):
    assert numbers(ThreadGovernor(2, 2), *[load] * 10) == [2] * 10


def test_beside_another_process():
    assert numbers(ThreadGovernor(2, 2), BESIDE_ONE, TAKEN, TAKEN, TAKEN) == [1] * 4


def test_short_disturbances_do_not_count():
    short = BESIDE_ONE._replace(seconds=0.3)
    assert numbers(ThreadGovernor(2, 2), short, ALONE, short, ALONE, short, short) == [2, 2, 2, 2, 2, 1]


@pytest.mark.parametrize(
    ("others", "expected"), [(0.6, 15), (0.95, 15), (2.1, 14), (8.0, 8), (15.9, 1)], ids=lambda value: str(value)
)
def test_a_thread_for_every_core_that_others_leave(others, expected):
    assert ThreadGovernor(16, 16).update(Load(1.0, 0.5, others, 0.0)) == expected


def test_at_least_one_thread_is_given_up():
    assert numbers(ThreadGovernor(8, 16), *[Load(1.0, 0.5, 3.0, 0.0)] * 3) == [7, 6, 5]


def test_threads_come_back_when_cores_are_free():
    governor = ThreadGovernor(2, 2)
    assert numbers(governor, BESIDE_ONE, TAKEN, FREE, TAKEN, FREE, FREE, ALONE) == [1, 1, 1, 1, 1, 2, 2]


def test_threads_that_did_not_last_come_back_later_and_later():
    governor, waits = ThreadGovernor(2, 2), []
    for _ in range(7):
        governor.update(BESIDE_ONE)
        waits.append(next(second for second in range(1, 100) if governor.update(FREE) == 2))
    assert waits == [2, 4, 8, 16, 32, 60, 60]
    numbers(governor, *[ALONE] * 40, BESIDE_ONE)
    assert numbers(governor, FREE, FREE) == [1, 2]


def test_many_threads_come_back_together():
    governor = ThreadGovernor(16, 16)
    governor.update(Load(1.0, 4.0, 12.0, 0.0))
    assert numbers(governor, *[Load(1.0, 0.0, 0.0, 11.8)] * 2) == [4, 16]


def readings(*steps):
    """Counters, each 1 s after the one before: seconds that were waited, own and those of others."""
    time = waited = own = busy = 0.0
    yield Counters(time - 10, {1: 0.0}, 0.0, 0.0)
    for step in steps:
        time, waited, own = time + 1, waited + step[0], own + step[1]
        busy += step[1] + step[2]
        yield Counters(time - 10, {1: waited}, own, busy)


def test_check_compares_readings():
    values = readings((0.0, 2.0, 0.0), (0.8, 1.3, 0.7), (0.0, 1.0, 1.0), (0.0, 1.0, 0.0), (0.0, 1.0, 0.0))
    governor = ThreadGovernor(2, 2, read=lambda: next(values))
    assert [governor.check() for _ in range(6)] == [2, 2, 1, 1, 1, 2]
    assert governor.others == pytest.approx(0.7)


def test_without_counters_nothing_changes():
    governor = ThreadGovernor(4, 4, read=lambda: None)
    assert [governor.check() for _ in range(3)] == [4, 4, 4]


class Scripted(ThreadGovernor):
    """A governor that returns given numbers."""

    def __init__(self, *numbers):
        super().__init__(numbers[0], 2)
        self.numbers, self.others = list(numbers), 0.7

    def check(self):
        self.threads = self.numbers.pop(0) if len(self.numbers) > 1 else self.numbers[0]
        return self.threads


@pytest.fixture
def two_threads(monkeypatch):
    """Two threads of torch that nobody asked for."""
    monkeypatch.setattr(torch_threads, "default_numbers", lambda: {2})
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_torch_follows_and_says_so_once(two_threads):
    threads = TorchThreads(Scripted(2, 1, 1, 2, 1))
    found = [(threads.check(), torch.get_num_threads()) for _ in range(6)]
    assert [number for _, number in found] == [2, 1, 1, 2, 1, 1]
    messages = [message for message, _ in found if message]
    assert len(messages) == 1
    assert messages[0].startswith("other processes use 0.7 of 2 processor cores: PyTorch uses 1 instead of 2 threads")


@pytest.mark.parametrize("name", VARIABLES)
def test_a_number_in_the_environment_stays(two_threads, monkeypatch, name):
    monkeypatch.setenv(name, "2")
    threads = TorchThreads(Scripted(2, 1))
    assert [threads.check() for _ in range(3)] == [None] * 3
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("before", [True, False], ids=["before the run", "during the run"])
def test_a_number_set_by_a_call_stays(two_threads, before):
    if before:
        torch.set_num_threads(4)
    threads = TorchThreads(Scripted(2, 2, 1))
    threads.check()
    torch.set_num_threads(4)
    assert [threads.check() for _ in range(3)] == [None] * 3
    assert torch.get_num_threads() == 4


def runner(device="cpu"):
    lines = []
    model = SimpleNamespace(parameters=lambda: iter([torch.empty(1, device=device)]))
    return SimpleNamespace(model=model, logger=SimpleNamespace(warning=lines.append)), lines


def test_the_hook_logs_one_line(two_threads):
    run, lines = runner()
    hook = ThreadsHook(TorchThreads(Scripted(2, 2, 1, 2, 1)))
    hook.before_run(run)
    seen = []
    for index in range(4):
        hook.after_train_iter(run, index)
        seen.append(torch.get_num_threads())
    hook.after_val_iter(run, 0)
    hook.after_test_iter(run, 0)
    assert (seen, len(lines)) == ([2, 1, 2, 1], 1)


def test_a_model_on_another_device_keeps_its_threads(two_threads):
    run, lines = runner("meta")
    hook = ThreadsHook(TorchThreads(Scripted(2, 1)))
    hook.before_run(run)
    hook.after_train_iter(run, 0)
    assert (torch.get_num_threads(), lines) == (2, [])


class Network:
    """A backend that returns its number of threads."""

    def __init__(self, threads):
        self.threads = threads

    def __call__(self, images):
        return {"threads": self.threads}


def test_a_backend_is_opened_with_other_threads(caplog):
    opened = []

    def open_with(threads):
        opened.append(threads)
        return Network(threads)

    backend = GovernedBackend(open_with, Scripted(2, 1, 1, 2))
    found = [backend(np.zeros(1))["threads"] for _ in range(4)]
    assert (found, opened) == ([None, 1, 1, None], [None, 1])
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "other processes use 0.7 of 2 processor cores"
    ]


def test_a_backend_stays_where_its_file_is_gone(caplog):
    def open_with(threads):
        if threads is not None:
            raise DataError("gone")
        return Network(threads)

    backend = GovernedBackend(open_with, Scripted(2, 1))
    assert [backend(np.zeros(1))["threads"] for _ in range(3)] == [None] * 3
    assert not caplog.records


def test_a_backend_on_a_gpu_keeps_its_threads():
    network = Network(None)
    network.on_gpu = True
    backend = GovernedBackend(lambda threads: network, Scripted(2, 1))
    assert backend(np.zeros(1)) == {"threads": None}
