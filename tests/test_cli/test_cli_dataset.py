"""The data set command: every planted fault is found, nothing is overwritten, conversions come back."""

import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from yolox_pose.cli import run
from yolox_pose.cli.dataset import build_parser, main
from yolox_pose.coco.loading import load_records
from yolox_pose.structures.skeleton import COCO_PERSON
from yolox_pose.synthetic.dataset import synthesize_crowd
from yolox_pose.synthetic.options import CrowdOptions


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    out = tmp_path_factory.mktemp("cli_dataset") / "crowd"
    options = CrowdOptions(size=(96, 96), person_free=0, crowd_regions=0.5)
    synthesize_crowd(out, options, train=6, val=2, progress=False)
    return out


@pytest.fixture
def crowd(original, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(original, tmp_path / "crowd")


def call(*argv):
    return run(main, [str(arg) for arg in argv])


def check(folder, *options):
    return call("check", folder / "annotations" / "train.json", "--images", folder / "train", *options)


def edit(folder):
    path = folder / "annotations" / "train.json"
    content = json.loads(path.read_text())
    return (
        content,
        [a for a in content["annotations"] if not a["iscrowd"]],
        lambda: path.write_text(json.dumps(content)),
    )


@pytest.mark.parametrize("command", ["synthesize", "check", "stats", "browse", "convert"])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        build_parser().parse_args([command, "--help"])
    assert stop.value.code == 0
    assert "usage: yolox-pose dataset" in capsys.readouterr().out


def test_the_script_synthesizes_and_keeps_what_is_there(tmp_path, repo_root):
    command = [
        sys.executable,
        str(repo_root / "tools" / "dataset.py"),
        "synthesize",
        "made",
        "--train",
        "2",
        "--val",
        "1",
    ]
    command += ["--size", "64", "64", "--people", "2", "3", "--occlusion", "0.5"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    assert "made: written" in first.stdout and "2/2" in first.stderr
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert second.returncode == 0 and "kept" in second.stdout
    third = subprocess.run([*command, "--seed", "1"], cwd=tmp_path, capture_output=True, text=True)
    assert third.returncode == 2
    assert third.stderr.splitlines()[-1].startswith("error: made holds synthetic data made with other seed")
    assert len(list((tmp_path / "made" / "train").iterdir())) == 2


def test_making_and_checking_data_does_not_wait_for_torch(tmp_path, repo_root):
    code = (
        "import sys; from yolox_pose.cli.dataset import main; "
        "main(['synthesize', 'made', '--train', '1', '--val', '0', '--size', '64', '64']); "
        "main(['check', 'made/annotations/train.json', '--images', 'made/train', '--decode']); "
        "sys.exit(', '.join({'torch', 'mmengine', 'mmpose'} & set(sys.modules)) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repo_root)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


def test_a_good_file_has_no_problems(crowd, capsys):
    assert check(crowd, "--decode") == 0
    assert "no problems; images decoded" in capsys.readouterr().out
    assert check(crowd, "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def far_box(annotation):
    annotation["bbox"] = [50, 50, 200, 20]


FAULTS = {
    "wrong length": (lambda a: a["keypoints"].pop(), "50 keypoint numbers, the skeleton's 17 keypoints need 51"),
    "visibility": (lambda a: a["keypoints"].__setitem__(2, 7), "visibility is 7"),
    "beyond": (far_box, "beyond the 96x96 image"),
    "negative": (lambda a: a.update(bbox=[10, 10, -5, 10]), "negative side"),
    "nan": (lambda a: a.update(bbox=[float("nan"), 1, 5, 5]), "bbox"),
    "no box": (lambda a: a.pop("bbox"), "bbox"),
    "category": (lambda a: a.update(category_id=77), "unknown category id 77"),
    "image": (lambda a: a.update(image_id=4444), "image 4444 is not in the image list"),
    "area": (lambda a: a.update(area=-3), "area -3 is negative"),
    "flag": (lambda a: a.update(iscrowd=5), "iscrowd is 5"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_fault_is_found_by_annotation(crowd, capsys, fault):
    plant, message = FAULTS[fault]
    _, people, save = edit(crowd)
    plant(people[3])
    save()
    assert check(crowd) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if f"annotation {people[3]['id']} " in line and message in line], lines
    assert "1 problem (" in lines[-1]


def test_all_faults_of_a_file_are_listed(crowd, capsys):
    content, people, save = edit(crowd)
    for annotation, (plant, _) in zip(people, FAULTS.values()):
        plant(annotation)
    people[10]["id"] = people[11]["id"]
    content["images"][4]["id"] = content["images"][5]["id"]
    save()
    (crowd / "train" / content["images"][0]["file_name"]).unlink()
    assert check(crowd, "--json") == 1
    problems = json.loads(capsys.readouterr().out)
    assert {annotation["id"] for annotation in people[: len(FAULTS)]} <= {problem["ann_id"] for problem in problems}
    assert people[11]["id"] in {problem["ann_id"] for problem in problems}
    assert {"missing_file", "id", "box", "keypoints", "category", "area", "crowd"} <= {p["kind"] for p in problems}
    assert all(problem["file"].endswith("train.json") for problem in problems)


def test_damaged_images_are_found_when_decoded(crowd, capsys):
    files = sorted((crowd / "train").iterdir())
    files[0].write_bytes(files[0].read_bytes()[:-700])
    files[1].write_bytes(b"no image")
    cv2.imwrite(str(files[2]), np.zeros((50, 60, 3), np.uint8))
    assert check(crowd) == 0
    assert check(crowd, "--decode") == 1
    out = capsys.readouterr().out
    assert "image 1: image" in out and "truncated" in out
    assert "image 2: image" in out and "cannot be decoded" in out or "not an image" in out
    assert "image 3: image" in out and "60x50" in out and "96x96" in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "not a COCO annotation file"),
        ('{"images": []}', "'categories' is missing"),
    ],
)
def test_files_that_are_no_annotations(tmp_path, capsys, text, message):
    path = tmp_path / "bad.json"
    path.write_text(text)
    assert call("check", path) == 1
    assert message in capsys.readouterr().out
    assert call("stats", path) == 1
    assert message in capsys.readouterr().err


def test_wrong_calls_exit_with_2(crowd, tmp_path, capsys):
    ann_file = crowd / "annotations" / "train.json"
    assert call("check", tmp_path / "none.json") == 2
    assert call("check", ann_file, "--images", tmp_path / "none") == 2
    assert call("check", ann_file, "--decode") == 2
    assert call("browse", "--out", tmp_path / "x") == 2
    assert call("browse", ann_file, "--out", tmp_path / "x") == 2
    assert call("browse", ann_file, "--images", crowd / "train", "--out", tmp_path / "x", "--ids", 99) == 2
    assert call("convert", tmp_path / "none", tmp_path / "x") == 2
    assert call("convert", crowd / "train", tmp_path / "x.json") == 2
    assert not (tmp_path / "x").exists()
    assert all(line.startswith("error: ") for line in capsys.readouterr().err.splitlines())


def test_stats_count_what_the_file_holds(crowd, capsys):
    content, people, save = edit(crowd)
    people[0].update(keypoints=[0] * 51, num_keypoints=0)
    save()
    assert call("stats", crowd / "annotations" / "train.json", "--json") == 0
    statistics = json.loads(capsys.readouterr().out)
    codes = np.array([a["keypoints"][2::3] for a in people if a["num_keypoints"]])
    assert statistics["images"] == 6 and statistics["instances"] == len(people)
    assert statistics["instances_without_keypoints"] == sum(a["num_keypoints"] == 0 for a in people) >= 1
    assert statistics["crowd_regions"] == len(content["annotations"]) - len(people)
    for k, name in enumerate(COCO_PERSON.names):
        expected = {"visible": 2, "hidden": 1, "unlabeled": 0}
        assert statistics["keypoints"][name] == {
            key: int((codes[:, k] == code).sum()) for key, code in expected.items()
        }
    assert statistics["labeled_keypoints_per_instance"]["mean"] == pytest.approx((codes > 0).sum(1).mean(), abs=1e-3)
    assert sum(statistics["sizes"].values()) == len(people)
    assert call("stats", crowd / "annotations" / "train.json") == 0
    table = capsys.readouterr().out
    assert "left_wrist" in table and "note" not in table


def test_stats_of_other_skeletons_and_of_boxes_alone(crowd, capsys):
    content, people, save = edit(crowd)
    content["categories"][0].update(keypoints=["a", "b", "c"], skeleton=[[1, 2]])
    for annotation in content["annotations"]:
        annotation["keypoints"] = annotation["keypoints"][:9]
    save()
    ann_file = crowd / "annotations" / "train.json"
    assert check(crowd) == 0
    assert call("stats", ann_file, "--json") == 0
    captured = capsys.readouterr()
    assert '"c": {' in captured.out
    content["categories"][0] = {"id": 1, "name": "thing"}
    for annotation in content["annotations"]:
        del annotation["keypoints"]
    save()
    assert check(crowd) == 0
    assert "0 keypoints: no problems" in capsys.readouterr().out
    assert call("stats", ann_file) == 0
    assert "instances" in capsys.readouterr().out


def test_browse_draws_annotations_into_a_new_folder(crowd, tmp_path):
    out = tmp_path / "drawn"
    options = ["browse", crowd / "annotations" / "train.json", "--images", crowd / "train", "--out", out]
    assert call(*options, "--number", 3, "--zoom", 1.5) == 0
    files = sorted(out.iterdir())
    assert len(files) == 3 and all(cv2.imread(str(file)).shape == (144, 144, 3) for file in files)
    assert call(*options) == 2
    assert sorted(out.iterdir()) == files
    options[-1] = tmp_path / "chosen"
    assert call(*options, "--ids", 2, 5, "--zoom", 1) == 0
    assert [file.stem for file in sorted((tmp_path / "chosen").iterdir())] == ["000000000002", "000000000005"]
    drawn = cv2.imread(str(tmp_path / "chosen" / "000000000002.jpg")).astype(int)
    plain = cv2.imread(str(crowd / "train" / "000001.jpg")).astype(int)
    assert (np.abs(drawn - plain).max(2) > 60).mean() > 0.02


def test_browse_draws_what_training_sees(crowd, tmp_path):
    config = tmp_path / "config.py"
    config.write_text(
        "default_scope = 'yolox_pose'\n"
        "pack = [dict(type='LetterboxResize', input_size=(128, 64)), dict(type='PackYOLOXPoseInputs')]\n"
        "train_dataloader = dict(dataset=dict(type='CocoPoseDataset', ann_file='annotations/train.json',\n"
        f"    data_root={str(crowd)!r}, data_prefix=dict(img='train'),\n"
        "    pipeline=[dict(type='LoadBGRImage'), dict(type='YOLOXPoseFlip', prob=1.0), *pack],\n"
        "    final_pipeline=[dict(type='LoadBGRImage'), *pack]))\n"
    )
    half = np.repeat(np.where(np.arange(96) < 48, 255, 0)[None], 96, axis=0).astype(np.uint8)
    for file in (crowd / "train").iterdir():
        cv2.imwrite(str(file), cv2.merge([half] * 3))  # white on the left
    for name, options in {"early": [], "final": ["--final"]}.items():
        options = ["--augmented", config, "--number", 2, "--zoom", 1, *options]
        assert call("browse", "--out", tmp_path / name, *options) == 0
    early, final = (sorted((tmp_path / name).iterdir()) for name in ("early", "final"))
    assert [file.name for file in early] == [file.name for file in final]
    images = [cv2.imread(str(files[0])) for files in (early, final)]
    assert images[0].shape == (64, 128, 3)
    corners = [(img[:8, 36:56].mean() > 128, img[:8, 72:92].mean() > 128) for img in images]
    assert corners == [(False, True), (True, False)], "only the pipeline of the early epochs mirrors"


def test_labels_from_coco_and_back(crowd, tmp_path, capsys):
    ann_file = crowd / "annotations" / "train.json"
    assert call("convert", ann_file, tmp_path / "labels") == 0
    assert "17 keypoints" in capsys.readouterr().out
    assert len((tmp_path / "labels" / "000000.txt").read_text().split("\n")[0].split()) == 5 + 3 * 17
    assert call("convert", tmp_path / "labels", tmp_path / "back.json", "--images", crowd / "train") == 0
    before, after = load_records(ann_file), load_records(tmp_path / "back.json")
    np.testing.assert_array_equal(before.sizes, after.sizes)
    np.testing.assert_array_equal(before.visible, after.visible)
    np.testing.assert_allclose(before.boxes, after.boxes, atol=2e-3)
    np.testing.assert_allclose(before.keypoints, after.keypoints, atol=2e-3)
    assert call("convert", tmp_path / "labels", tmp_path / "back.json", "--images", crowd / "train") == 2
    assert call("convert", ann_file, tmp_path / "labels") == 2


def test_a_list_of_labels_becomes_coco(tmp_path):
    source = tmp_path / "list.txt"
    source.write_text("7 0.5 0.5 0.2 0.4 " + "0.5 0.25 2 " * 2 + "0 0 0\n7 0.25 0.5 0.1 0.1 " + "0 0 0 " * 3 + "\n")
    assert call("convert", source, tmp_path / "out.json", "--size", 200, 100, "--keypoints", 3) == 0
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["images"] == [{"id": 7, "file_name": "000000000007.jpg", "width": 200, "height": 100}]
    first, second = content["annotations"]
    assert first["bbox"] == [80, 30, 40, 40]
    assert first["keypoints"] == [100, 25, 2, 100, 25, 2, 0, 0, 0]
    assert second["num_keypoints"] == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.1", "line 2: 4 columns"),
        ("0 0.5 0.5 0.1 x" + " 0" * 51, "line 2: could not convert"),
        ("0 0.5 0.5 0.1 nan" + " 0" * 51, "line 2: holds a value that is not finite"),
        ("0 0.5 0.5 0.1 0.1" + " 0.5 0.5 3" * 17, "line 2: a keypoint's visibility"),
        ("4 0.5 0.5 0.1 0.1" + " 0" * 51, "class 4 is not among"),
    ],
)
def test_wrong_labels_name_file_and_line(crowd, tmp_path, capsys, line, message):
    assert call("convert", crowd / "annotations" / "train.json", tmp_path / "labels") == 0
    label = tmp_path / "labels" / "000002.txt"
    label.write_text(label.read_text().splitlines()[0] + "\n" + line + "\n")
    assert call("convert", tmp_path / "labels", tmp_path / "back.json", "--images", crowd / "train") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert str(label) in error and message in error
    assert not (tmp_path / "back.json").exists()


def test_file_names_do_not_lead_out_of_the_folder(crowd, tmp_path, capsys):
    content, _, save = edit(crowd)
    content["images"][0]["file_name"] = "../../escaped.jpg"
    save()
    assert call("convert", crowd / "annotations" / "train.json", tmp_path / "a" / "labels") == 1
    assert "leads out of" in capsys.readouterr().err
    assert not (tmp_path / "escaped.txt").exists()
