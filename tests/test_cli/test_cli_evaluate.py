"""``yolox-pose evaluate``: metrics of a predictions file, without torch."""

import json
import subprocess
import sys

import pytest

from yolox_pose.cli import run
from yolox_pose.cli.evaluate import main

ANNOTATIONS = {
    "images": [{"id": 1}],
    "categories": [{"id": 4, "name": "person"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 4,
            "bbox": [0, 0, 50, 50],
            "keypoints": [0, 0, 2, 50, 50, 2],
            "area": 1500,
        }
    ],
}
POSE = [{"image_id": 1, "category_id": 4, "keypoints": [0, 0, 1, 50, 50, 1], "score": 0.5}]
BOX = [{"image_id": 1, "category_id": 4, "bbox": [0, 0, 50, 40], "score": 0.5}]


@pytest.fixture
def files(tmp_path):
    """Write content as files and return their paths."""

    def write(**contents):
        for name, content in contents.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / f"{name}.json").write_text(text)
        return [str(tmp_path / f"{name}.json") for name in contents]

    return write


def test_scores_to_choose_a_threshold_by(files, capsys):
    assert run(main, [*files(ann=ANNOTATIONS, pred=POSE), "--at", "0.5", "0.6"]) == 0
    printed = capsys.readouterr().out.splitlines()
    for line in ("precision@0.5  1.0000", "recall@0.5     1.0000", "precision@0.6       -", "recall@0.6     0.0000"):
        assert f"coco/{line}" in printed


def test_keypoints(files, capsys, tmp_path):
    assert run(main, [*files(ann=ANNOTATIONS, pred=POSE), "--json", str(tmp_path / "m.json")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["1 detection, 1 image, 1 annotation", "OKS sigmas: 0.5 0.5"]
    assert "coco/AP    1.0000" in printed and "coco/AP_L       -" in printed
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert metrics["coco/AP"] == pytest.approx(1) and metrics["coco/AP_L"] == -1 and len(metrics) == 10


def test_boxes(files, capsys):
    both = [{**POSE[0], **BOX[0]}]
    for arguments in (files(ann=ANNOTATIONS, pred=BOX), [*files(ann=ANNOTATIONS, both=both), "--kind", "bbox"]):
        assert run(main, arguments) == 0
        assert "coco/bbox_mAP     0.7000" in capsys.readouterr().out.splitlines()  # IoU 0.8: 7 of 10 thresholds


def test_own_sigmas(files, capsys):
    shifted = [dict(POSE[0], keypoints=[3, 0, 1, 53, 50, 1])]
    paths = files(ann=ANNOTATIONS, pred=shifted)
    assert run(main, paths) == run(main, [*paths, "--sigmas", "0.02", "0.02"]) == 0
    wide, narrow = (line for line in capsys.readouterr().out.splitlines() if line.startswith("coco/AP  "))
    assert float(wide.split()[1]) > float(narrow.split()[1])


def test_no_detections_warn(files, capsys):
    assert run(main, files(ann=ANNOTATIONS, pred=[])) == 0
    caught = capsys.readouterr()
    assert "coco/AP    0.0000" in caught.out
    assert caught.err.startswith("warning: no detections")


@pytest.mark.parametrize(
    ("contents", "arguments", "code", "message"),
    [
        ({"ann": ANNOTATIONS}, ["none.json"], 2, "predictions file not found: none.json"),
        ({"ann": ANNOTATIONS, "pred": POSE}, ["--json", "{pred}"], 2, "exists; name another file or give --overwrite"),
        ({"ann": ANNOTATIONS, "pred": "["}, [], 1, "predictions file is not valid JSON"),
        ({"ann": POSE, "pred": POSE}, [], 1, "not a COCO annotation file"),
        ({"ann": ANNOTATIONS, "pred": ANNOTATIONS}, [], 1, "not in COCO results format"),
        ({"ann": ANNOTATIONS, "pred": POSE}, ["--sigmas", "0.1"], 1, "annotations have 2 keypoints, --sigmas 1"),
        ({"ann": ANNOTATIONS, "pred": POSE}, ["--kind", "bbox"], 1, "the detections have no boxes"),
        ({"ann": ANNOTATIONS, "pred": BOX}, ["--kind", "keypoints"], 1, "the detections have no keypoints"),
    ],
)
def test_bad_input_is_one_line(files, capsys, contents, arguments, code, message):
    paths = files(**contents)
    arguments = [argument.format(pred=paths[-1]) for argument in arguments]
    assert run(main, [*paths, *arguments]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_no_torch_is_imported(files, repo_root):
    code = (
        "import sys; from yolox_pose.cli.main import main; main(['evaluate', *sys.argv[1:]]); "
        "assert not {'torch', 'mmengine'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, *files(ann=ANNOTATIONS, pred=POSE)]
    subprocess.run(command, cwd=repo_root, check=True, capture_output=True)
