"""``--data`` puts another folder in place of the config's."""

import pytest
from mmengine.config import Config

from yolox_pose.cli import run, test, train
from yolox_pose.config import load_config, use_data
from yolox_pose.errors import UsageError


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("yolox-pose_nano_1xb16-30e_custom-416", {"ann_file": "annotations/val.json"}),
        ("yolox-pose_s_8xb32-300e_coco", {"ann_file": "annotations/person_keypoints_val2017.json"}),
        ("yolox_s_8xb8-300e_coco", {"ann_file": "annotations/instances_val2017.json"}),
        (
            "yolox-joint_s_8xb32-300e_coco",
            {
                "ann_file": "annotations/instances_val2017.json",
                "keypoint_ann_file": "annotations/person_keypoints_val2017.json",
            },
        ),
    ],
)
def test_data_and_evaluators_of_every_recipe_follow(tmp_path, name, files):
    config = load_config(name)
    before = config.train_dataloader.dataset.ann_file
    use_data(config, tmp_path, ("train", "val", "test"))
    for split in ("train", "val", "test"):
        assert config[f"{split}_dataloader"].dataset.data_root == str(tmp_path)
    assert config.train_dataloader.dataset.ann_file == before
    for evaluator in (config.val_evaluator, config.test_evaluator):
        assert {key: evaluator[key] for key in files} == {key: str(tmp_path / file) for key, file in files.items()}


def test_a_file_that_was_named_itself_stays(tmp_path):
    config = load_config("yolox-pose_s_8xb32-300e_coco", ["val_evaluator.ann_file=elsewhere/val.json"])
    use_data(config, tmp_path, ("val",))
    assert config.val_evaluator.ann_file == "elsewhere/val.json"
    assert config.test_dataloader.dataset.data_root == "data/coco/"


def test_data_without_a_folder_are_refused(tmp_path):
    config = Config({"val_dataloader": {"dataset": {"type": "Mine"}}})
    with pytest.raises(UsageError, match=r"val_dataloader\.dataset has no data_root"):
        use_data(config, tmp_path, ("val",))


@pytest.mark.parametrize(("command", "more"), [(train.main, []), (test.main, ["weights.pth"])], ids=["train", "test"])
def test_a_missing_folder_is_one_clear_line(command, more, tmp_path, capsys):
    (tmp_path / "weights.pth").touch()
    more = [str(tmp_path / name) for name in more]
    missing = str(tmp_path / "missing")
    code = run(command, ["yolox-pose_s_8xb32-300e_coco", *more, "--data", missing, "--device", "cpu"])
    assert code == 2
    assert capsys.readouterr().err.strip() == f"error: --data: {missing} is not a folder"
