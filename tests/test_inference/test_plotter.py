"""Pictures drawn in parallel processes: equal pixels, in order, with clear errors."""

import subprocess
import sys
import time

import numpy as np
import pytest

from yolox_pose.inference import plotter as module
from yolox_pose.inference.plotter import Plotter, plot_processes
from yolox_pose.inference.results import PoseResult
from yolox_pose.structures.skeleton import COCO_PERSON


def result(seed=0, **fields):
    """Return a result with two people in a random picture."""
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(10, 80, (2, 17, 2)).astype(np.float32)
    image = rng.integers(0, 255, (90, 110 + seed, 3), dtype=np.uint8)
    defaults = {
        "keypoint_scores": np.full((2, 17), 0.8, np.float32),
        "boxes": np.concatenate([keypoints.min(1), keypoints.max(1)], axis=1),
        "scores": np.array([0.9, 0.6], np.float32),
        "labels": np.zeros(2, np.int64),
        "skeleton": COCO_PERSON,
        "held_image": image,
    }
    return PoseResult(keypoints, **{**defaults, **fields})


@pytest.mark.parametrize("processes", [0, 1, 2])
def test_pictures_are_those_of_plot(processes):
    results = [result(seed) for seed in range(5)]
    with Plotter(processes, zoom=1.5, kpt_thr=0.2) as plotter:
        pictures = [picture() for picture in [plotter.plot(one) for one in results]]
    for picture, one in zip(pictures, results, strict=True):
        assert np.array_equal(picture, one.plot(zoom=1.5, kpt_thr=0.2))


def test_a_picture_may_be_any_slice():
    """A process gets contiguous pixels, also of a strided image."""
    one = result()
    wide = np.zeros((90, 220, 3), np.uint8)
    wide[:, ::2] = one.held_image
    with Plotter(1) as plotter:
        assert np.array_equal(plotter.plot(result(held_image=wide[:, ::2]))(), one.plot())


def test_errors_are_those_of_plot_and_the_process_goes_on():
    with Plotter(1) as plotter:
        broken = plotter.plot(result(held_image=np.zeros((9, 9), np.uint8)))
        fine = plotter.plot(result())
        with pytest.raises(ValueError, match=r"takes \(H, W, 3\)"):
            broken()
        assert np.array_equal(fine(), result().plot())


def test_a_process_that_ends_is_told():
    with Plotter(1) as plotter:
        plotter.plot(result())()
        process = plotter._idle.get()
        plotter._idle.put(process)
        process._process.kill()
        process._process.wait()
        with pytest.raises(RuntimeError, match="the drawing process has ended"):
            plotter.plot(result())()


def test_no_process_is_left_and_what_nobody_waits_for_is_dropped(monkeypatch):
    drawn, draw = [], module._Process.draw
    monkeypatch.setattr(module._Process, "draw", lambda *args: drawn.append(time.sleep(0.1)) or draw(*args))
    with Plotter(1) as plotter:
        process = plotter._idle.get()
        plotter._idle.put(process)
        for seed in range(50):
            plotter.plot(result(seed))
    assert process._process.returncode is not None
    assert len(drawn) < 10


def test_the_process_imports_no_torch():
    code = f"import {module.__name__}, sys; print('torch' in sys.modules, 'mmengine' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


def test_how_many_processes(monkeypatch):
    for cores, expected in ((2, 0), (4, 1), (16, 4), (128, 8)):
        monkeypatch.setattr(module, "usable_cores", lambda cores=cores: cores)
        assert plot_processes(1000) == plot_processes(None) == expected
        assert plot_processes(8) == 0, "starting them takes longer than a few pictures"
