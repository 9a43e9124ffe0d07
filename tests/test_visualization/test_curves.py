"""Training logs with resumes, and their plots."""

import json

import cv2
import numpy as np
import pytest

from yolox_pose.errors import DataError
from yolox_pose.visualization.curves import draw_curves, read_history


def write(work_dir, run, records, tail=""):
    folder = work_dir / run / "vis_data"
    folder.mkdir(parents=True)
    (folder / "scalars.json").write_text("\n".join(json.dumps(record) for record in records) + "\n" + tail)


def train(iteration, epoch, loss=1.0, **more):
    return {"lr": 0.1, "loss": loss, "loss_kpt": loss / 2, "epoch": epoch, "iter": iteration, "step": iteration, **more}


def val(epoch, ap):
    return {"coco/AP": ap, "coco/AP50": 2 * ap, "time": 0.1, "step": epoch}


def test_a_resume_replaces_what_it_goes_over_again(tmp_path):
    write(tmp_path, "20260101_000000", [train(10, 1), val(1, 0.1), train(20, 2), val(2, 0.2), train(30, 3)])
    write(tmp_path, "20260102_000000", [train(20, 2, 7.0), val(2, 0.3)], tail='{"loss": 1, "it')
    history = read_history(tmp_path)
    assert [(record["iter"], record["loss"]) for record in history.train] == [(10, 1.0), (20, 7.0)]
    assert [(record["step"], record["coco/AP"]) for record in history.val] == [(1, 0.1), (2, 0.3)]
    assert history.name == tmp_path.name


def test_a_new_start_in_the_same_folder_forgets_the_old_one(tmp_path):
    write(tmp_path, "20260101_000000", [train(10, 1), val(1, 0.1), val(2, 0.2)])
    write(tmp_path, "20260102_000000", [train(5, 1, 2.0)])
    history = read_history(tmp_path)
    assert [record["loss"] for record in history.train] == [2.0] and history.val == []


def test_a_folder_without_a_log_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no training log"):
        read_history(tmp_path)


def picture(png):
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)


def test_pictures_of_one_of_several_and_of_hardly_anything(tmp_path):
    write(tmp_path / "a", "1", [train(10, 1, oks=0.1, positives=3.0), val(1, 0.1), train(20, 2, float("nan"))])
    write(tmp_path / "b", "1", [train(10, 1)])
    a, b = read_history(tmp_path / "a"), read_history(tmp_path / "b")
    shown = [picture(draw_curves(histories)) for histories in ([a], [b], [a, b])]
    assert all(one.shape == (800, 1200, 3) for one in shown)
    assert (shown[0] != shown[1]).any() and (shown[0] != shown[2]).any()
    nothing = shown[1][60:360, 700:1180]  # no validation yet: grid and gray text alone
    assert np.ptp(nothing.astype(int), axis=2).max() < 30
