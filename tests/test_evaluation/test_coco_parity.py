"""Metrics equal those of pycocotools and, where it is installed, of the real xtcocotools."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.test_evaluation.coco_sets import (
    exact_predictions,
    noisy_boxes,
    noisy_predictions,
    original_boxes,
    original_keypoints,
    random_set,
)
from yolox_pose.evaluation.coco_eval import BOX_METRICS, evaluate_boxes, evaluate_keypoints


def _pycocotools():
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return COCO, COCOeval


def _xtcocotools():
    try:
        from xtcocotools import _mask  # the compiled part: only the real package has it
        from xtcocotools.coco import COCO
        from xtcocotools.cocoeval import COCOeval
    except (ImportError, ValueError):
        pytest.skip("the real xtcocotools is not installed or not built for this numpy")
    if not str(getattr(_mask, "__file__", "")).endswith((".so", ".pyd")):
        pytest.skip("xtcocotools is yolox_pose.compat's stand-in")
    return COCO, COCOeval


@pytest.fixture(params=[_pycocotools, _xtcocotools], ids=["pycocotools", "xtcocotools"])
def original(request):
    return request.param()


def _assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose(list(ours.values()), list(theirs.values()), rtol=0, atol=1e-6)


def _comparable(records, original):
    """pycocotools counts detections whose keypoint scores are all 0, xtcocotools and we do not."""
    if original[1].__module__.startswith("xtcocotools"):
        return records
    return [r for r in records if any(r["keypoints"][2::3])]


@pytest.mark.parametrize("seed", range(4))
def test_noisy_predictions_with_crowds_and_unlabeled_people(original, seed):
    truth = random_set(seed, images=30)
    records = noisy_predictions(truth, seed)
    theirs = original_keypoints(*original, truth, _comparable(records, original))
    assert 0.05 < theirs["AP"] < 0.95
    _assert_equal(evaluate_keypoints(truth, records), theirs)


def test_ground_truth_as_predictions(original):
    truth = random_set(7)
    records = exact_predictions(truth)
    ours = evaluate_keypoints(truth, records)
    _assert_equal(ours, original_keypoints(*original, truth, records))
    assert ours["AR"] == 1


@pytest.mark.parametrize("num_keypoints", [1, 4, 14, 23, 133])
def test_other_skeletons_and_sigmas(original, num_keypoints):
    truth = random_set(3, images=20, num_keypoints=num_keypoints)
    records = noisy_predictions(truth, 3)
    sigmas = np.random.default_rng(0).uniform(0.03, 0.2, num_keypoints)
    theirs = original_keypoints(*original, truth, _comparable(records, original), sigmas)
    _assert_equal(evaluate_keypoints(truth, records, sigmas=sigmas), theirs)


def test_custom_sigmas_for_17_keypoints(original):
    truth = random_set(5)
    records = noisy_predictions(truth, 5)
    sigmas = np.linspace(0.02, 0.2, 17)
    theirs = original_keypoints(*original, truth, _comparable(records, original), sigmas)
    _assert_equal(evaluate_keypoints(truth, records, sigmas=sigmas), theirs)
    assert evaluate_keypoints(truth, records) != evaluate_keypoints(truth, records, sigmas=sigmas)


def test_several_categories_with_other_ids_and_large_image_ids(original):
    truth = random_set(9, images=25, categories=(3, 90, 7), first_id=2**40, step=-1_000_003)
    records = noisy_predictions(truth, 9)
    theirs = original_keypoints(*original, truth, _comparable(records, original))
    _assert_equal(evaluate_keypoints(truth, records), theirs)


def test_more_than_twenty_detections_of_an_image(original):
    truth = random_set(11, images=4, max_people=12)
    records = noisy_predictions(truth, 11, extra=6)
    assert max(np.unique([r["image_id"] for r in records], return_counts=True)[1]) > 20
    theirs = original_keypoints(*original, truth, _comparable(records, original))
    _assert_equal(evaluate_keypoints(truth, records), theirs)


def test_coordinates_of_detections_are_not_read_from_their_boxes(original):
    truth = random_set(1)
    records = noisy_predictions(truth, 1)
    theirs = original_keypoints(*original, truth, _comparable(records, original))
    _assert_equal(evaluate_keypoints(truth, [dict(r, bbox=[0, 0, 1, 1]) for r in records]), theirs)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(1, 4),
    people=st.integers(1, 5),
    noise=st.sampled_from([0.0, 0.01, 0.03, 0.1]),
    extra=st.floats(0.5, 3),
)
def test_any_small_set(original, seed, images, people, noise, extra):
    truth = random_set(seed, images=images, max_people=people)
    records = noisy_predictions(truth, seed, noise=noise, extra=extra)
    labeled = any(a["num_keypoints"] and not a["iscrowd"] for a in truth["annotations"])
    comparable = _comparable(records, original)
    if not labeled or not comparable:
        return
    _assert_equal(evaluate_keypoints(truth, records), original_keypoints(*original, truth, comparable))


@pytest.mark.parametrize("seed", range(3))
def test_boxes(seed):
    truth = random_set(seed, images=30, categories=(2, 5, 11))
    records = noisy_predictions(truth, seed)
    ours = evaluate_boxes(truth, records)
    theirs = original_boxes(*_pycocotools(), truth, records)
    assert 0.05 < theirs[0] < 0.95
    np.testing.assert_allclose([ours[name] for name in BOX_METRICS], theirs, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_real_annotations(original, shared_data):
    truth = json.loads((shared_data / "coco_persons" / "annotations" / "val.json").read_text())
    records = noisy_predictions(truth, 0, noise=0.02, ties=False)
    theirs = original_keypoints(*original, truth, _comparable(records, original))
    assert 0.05 < theirs["AP"] < 0.95
    _assert_equal(evaluate_keypoints(truth, records), theirs)


@pytest.mark.slow
def test_real_boxes_of_eighty_classes(shared_data):
    truth = json.loads((shared_data / "coco_mini" / "annotations" / "instances_val2017.json").read_text())
    records = noisy_boxes(truth, 0)
    assert len({record["category_id"] for record in records}) > 60
    ours, theirs = evaluate_boxes(truth, records), original_boxes(*_pycocotools(), truth, records)
    assert 0.05 < theirs[0] < 0.95
    np.testing.assert_allclose([ours[name] for name in BOX_METRICS], theirs, rtol=0, atol=1e-6)
