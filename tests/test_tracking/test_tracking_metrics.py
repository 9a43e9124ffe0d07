"""Tracking metrics, against values worked out by hand."""

import numpy as np
import pytest

from yolox_pose.tracking.metrics import TrackedFrame, count_handovers, tracking_metrics

NEAR, FAR = [0.0, 0, 10, 20], [100.0, 0, 110, 20]


def frame(truth, found):
    """Return a frame from two mappings of ids to boxes."""

    def split(people):
        return np.array(list(people), int), np.array(list(people.values()), float).reshape(-1, 4)

    return TrackedFrame(*split(truth), *split(found))


def test_faultless():
    result = tracking_metrics([frame({1: NEAR, 2: FAR}, {8: FAR, 7: NEAR})] * 4)
    assert result == (2, 2, 0, 0, 0, 0, 1.0, 1.0)


def test_two_people_who_swap_ids_halfway():
    before, after = frame({1: NEAR, 2: FAR}, {1: NEAR, 2: FAR}), frame({1: NEAR, 2: FAR}, {2: NEAR, 1: FAR})
    result = tracking_metrics([before] * 3 + [after])
    assert (result.switches, result.fragmentations, result.misses, result.false_alarms) == (2, 0, 0, 0)
    assert result.mota == pytest.approx(1 - 2 / 8) and result.idf1 == pytest.approx(6 / 8)


def test_a_missed_person_and_an_absent_person():
    there, missed, gone = frame({1: NEAR}, {5: NEAR}), frame({1: NEAR}, {}), frame({}, {})
    result = tracking_metrics([there, missed, missed, there, gone, there])
    assert (result.switches, result.fragmentations, result.misses) == (0, 1, 2)
    assert result.idf1 == pytest.approx(2 * 3 / (5 + 3))
    other = tracking_metrics([there, gone, frame({1: NEAR}, {6: NEAR})])
    assert (other.ids, other.switches, other.fragmentations) == (2, 1, 0)


def test_a_box_beside_the_person_is_a_miss_and_a_false_alarm():
    result = tracking_metrics([frame({1: NEAR}, {1: FAR})])
    assert (result.misses, result.false_alarms, result.mota, result.idf1) == (1, 1, -1.0, 0.0)


def test_a_pair_stays_while_another_box_is_nearer():
    """As Bernardin and Stiefelhagen have it: the duplicate that fits better does not take the person over."""
    close, closer = [0.0, 0, 10, 15], [0.0, 0, 10, 19]
    result = tracking_metrics([frame({1: NEAR}, {1: NEAR}), frame({1: NEAR}, {2: closer, 1: close})])
    assert (result.switches, result.false_alarms) == (0, 1)


def test_empty_sequences():
    assert tracking_metrics([]) == (0, 0, 0, 0, 0, 0, 1.0, 0.0)
    assert tracking_metrics([frame({}, {})]).mota == 1


def test_handovers_without_annotation():
    def one(track, box=NEAR):
        return np.array([track]), np.array([box])

    nobody = np.zeros(0, int), np.zeros((0, 4))
    assert count_handovers([one(1), one(1), one(2), one(2)], memory=3) == 1
    assert count_handovers([one(1), nobody, nobody, one(2)], memory=3) == 1
    assert count_handovers([one(1), nobody, nobody, one(2)], memory=2) == 0
    assert count_handovers([one(1), one(2, FAR)], memory=3) == 0
    both = np.array([1, 2]), np.array([NEAR, FAR])
    swapped = np.array([1, 2]), np.array([FAR, NEAR])
    assert count_handovers([both, both, swapped], memory=3) == 2
