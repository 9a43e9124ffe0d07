"""Reading ahead and writing behind: order, errors, early ends."""

import threading
import time

import pytest

from yolox_pose.utils.background import BackgroundWorker, in_order, prefetch


def test_items_come_in_order_and_are_drawn_ahead():
    drawn = []
    items = prefetch((drawn.append(i) or i for i in range(20)), depth=3)
    assert next(items) == 0
    deadline = time.monotonic() + 5
    while len(drawn) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert 4 <= len(drawn) <= 6
    assert list(items) == list(range(1, 20))


def test_an_error_comes_where_its_item_would_have_come():
    def numbers():
        yield 1
        yield 2
        raise ValueError("three")

    items = prefetch(numbers(), depth=8)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="three"):
        next(items)


def test_who_stops_early_leaves_no_thread_and_closes_the_generator():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    items = prefetch(endless(), depth=2)
    next(items)
    items.close()
    assert closed.is_set() and threading.active_count() == before


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_their_calls(workers):
    waits = [0.03, 0.0, 0.02, 0.0, 0.01] * 3

    def call(number, seconds):
        time.sleep(seconds)
        return number

    calls = ((lambda n=n, s=s: call(n, s)) for n, s in enumerate(waits))
    assert list(in_order(calls, workers)) == list(range(len(waits)))


def test_calls_are_made_at_the_same_time():
    both = threading.Barrier(2, timeout=5)
    assert len(list(in_order([both.wait, both.wait], workers=2))) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_call_comes_in_its_place(workers):
    def fail():
        raise ValueError("second")

    results = in_order(iter([lambda: 1, fail, lambda: 3]), workers)
    assert next(results) == 1
    with pytest.raises(ValueError, match="second"):
        next(results)


def test_who_stops_early_has_few_calls_made():
    made = []
    before = threading.active_count()
    results = in_order(((lambda n=n: made.append(n)) for n in range(1000)), workers=2)
    next(results)
    results.close()
    assert len(made) <= 6 and threading.active_count() == before


def test_calls_are_made_in_order_before_the_end():
    done = []
    with BackgroundWorker(depth=2) as worker:
        for i in range(20):
            worker.submit(done.append, i)
    assert done == list(range(20))


def test_the_first_error_is_raised_and_ends_the_work():
    done = []

    def fail():
        raise OSError("disk full")

    worker = BackgroundWorker()
    worker.submit(fail)
    with pytest.raises(OSError, match="disk full"):
        while True:
            worker.submit(done.append, 1)
            time.sleep(0.001)
    worker.close()
    with pytest.raises(KeyError), BackgroundWorker() as worker:
        worker.submit(fail)
        raise KeyError("the error inside wins")
