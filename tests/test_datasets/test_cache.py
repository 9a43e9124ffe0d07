import multiprocessing
import pickle

import numpy as np

from yolox_pose.datasets.cache import ImageCache

SIZES = np.array([[10, 5], [4, 4], [20, 30]])


def image(index):
    width, height = SIZES[index]
    return np.random.default_rng(index).integers(0, 255, (height, width, 3), dtype=np.uint8)


def test_gives_back_what_was_put_in():
    cache = ImageCache(SIZES, 10**6)
    assert cache.get(1) is None and len(cache) == 0
    for index in (2, 0, 1):
        cache.put(index, image(index))
    for index in range(3):
        np.testing.assert_array_equal(cache.get(index), image(index))
        assert not cache.get(index).flags.writeable
    assert len(cache) == 3


def test_keeps_within_its_limit():
    cache = ImageCache(SIZES, 150 + 48)
    for index in range(3):
        cache.put(index, image(index))
    assert cache.capacity == 2 and len(cache) == 2 and cache.get(2) is None
    nothing = ImageCache(SIZES, 0)
    nothing.put(0, image(0))
    assert nothing.get(0) is None


def test_processes_share_it():
    cache = ImageCache(SIZES, 10**6)
    process = multiprocessing.get_context("fork").Process(target=lambda: cache.put(1, image(1)))
    process.start()
    process.join()
    np.testing.assert_array_equal(cache.get(1), image(1))


def test_pickled_it_is_empty():
    cache = ImageCache(SIZES, 10**6)
    cache.put(0, image(0))
    other = pickle.loads(pickle.dumps(cache))
    assert len(other) == 0 and other.capacity == 3
