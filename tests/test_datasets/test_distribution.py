"""Samples of mosaic, affine and mixup are distributed as those of mmpose's pipeline, by the comparison of the benchmark."""

import json

import cv2
import numpy as np
import pytest

from tests.benchmark_scripts import load_benchmark

pytestmark = pytest.mark.slow
SIDE, SAMPLES = 128, 400
BOUND = 0.1
"""Largest difference of deciles, in units of the spread between the first and the last. Two halves of mmpose's own samples
differ by up to 0.06, a range of scales that is off by a third by 0.27."""


@pytest.fixture(scope="module")
def benchmark():
    module = load_benchmark("data")
    module.SIZE = SIDE
    return module


@pytest.fixture(scope="module")
def annotations(tmp_path_factory):
    """Forty images of one to four people, with a grey that tells how much of an image is seen."""
    folder, rng = tmp_path_factory.mktemp("distribution"), np.random.default_rng(0)
    (folder / "images").mkdir()
    images, people = [], []
    for i in range(1, 41):
        width, height = (SIDE, SIDE * 3 // 4) if i % 3 else (SIDE * 3 // 4, SIDE)
        grey = np.full((height, width, 3), rng.integers(20, 236), np.uint8)
        cv2.imwrite(str(folder / "images" / f"{i}.png"), grey)
        images.append({"id": i, "file_name": f"{i}.png", "width": width, "height": height})
        for _ in range(rng.integers(1, 5)):
            w, h = rng.uniform(0.15, 0.6, 2) * (width, height)
            x, y = rng.uniform(0, 1, 2) * (width - w, height - h)
            points = np.c_[rng.uniform(x, x + w, 17), rng.uniform(y, y + h, 17), rng.integers(0, 3, 17)]
            points[0, 2] = 2
            people.append({
                "id": len(people) + 1, "image_id": i, "category_id": 1, "iscrowd": 0, "bbox": [x, y, w, h], "area": w * h / 2,
                "keypoints": points.ravel().tolist(), "num_keypoints": int((points[:, 2] > 0).sum()),
                "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
            })  # fmt: skip
    names = [f"point{k}" for k in range(17)]
    categories = [{"id": 1, "name": "person", "keypoints": names, "skeleton": []}]
    path = folder / "annotations.json"
    path.write_text(json.dumps({"images": images, "annotations": people, "categories": categories}))
    return path


@pytest.fixture(scope="module")
def theirs(benchmark, annotations):
    return benchmark.statistics(benchmark.drawing(benchmark.their_dataset(annotations), "mmpose", SAMPLES, 0)())


def differences(benchmark, annotations, theirs, **settings):
    dataset = benchmark.our_dataset(annotations, **settings)
    samples = []
    for dataset.phase.seed in range(SAMPLES // 40):  # a sample is a function of the seed and its index
        samples += benchmark.drawing(dataset, "yolox_pose", 40, 0)()
    return off(benchmark, benchmark.statistics(samples), theirs)


def off(benchmark, ours, theirs):
    """Largest difference of the deciles of each figure; of numbers of keypoints, whose deciles are whole, of the means."""
    found = {case["case"]: case["largest_difference_of_deciles"] for case in benchmark.compare(ours, theirs)}
    name = "labelled keypoints a person"
    spread = np.quantile(theirs[name], 0.9) - np.quantile(theirs[name], 0.1)
    return found | {f"mean {name}": abs(ours[name].mean() - theirs[name].mean()) / spread}


def test_deciles_of_boxes_keypoints_and_grey_are_those_of_mmpose(benchmark, annotations, theirs):
    found = differences(benchmark, annotations, theirs)
    assert len(found) == 6 and max(found.values()) < BOUND, found


def test_another_range_of_scales_would_be_seen(benchmark, annotations, theirs):
    smaller = {"transform_options": {"YOLOXPoseAffine": {"scale_range": (0.5, 0.67)}}}
    found = differences(benchmark, annotations, theirs, **smaller)
    assert found["mean width of boxes"] > BOUND and found["mean height of boxes"] > BOUND, found
