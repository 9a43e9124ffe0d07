"""What a model's config says about its input."""

from yolox_pose.checkpoints.model_info import find_preprocessing


def test_input_size_of_every_shipped_config():
    """The size stands at the data set, not at the transform."""
    from yolox_pose.config import config_files, load_config

    sizes = {path.stem: find_preprocessing(load_config(path), {}).size for path in config_files()}
    assert sizes["yolox-pose_s_8xb32-300e_coco"] == (640, 640)
    assert sizes["yolox-pose_tiny_8xb32-300e_coco"] == sizes["yolox-pose_nano_8xb32-300e_coco"] == (416, 416)
    assert sizes["yolox-pose_nano_1xb16-30e_custom-416"] == (416, 416)
    assert all(max(size) <= 192 for name, size in sizes.items() if "quickstart" in name)


def test_the_padding_side_of_the_checkpoint_wins():
    config = {
        "test_dataloader": {"dataset": {"pipeline": [{"type": "yolox_pose.LetterboxResize"}], "input_size": [96, 64]}}
    }
    assert find_preprocessing(config, {}) == ((96, 64), True, 114)
    assert find_preprocessing(config, {"preprocessing": {"centered": False}}).centered is False
