import pytest

from yolox_pose.errors import UsageError
from yolox_pose.structures.settings import PostprocessSettings, settings_overrides


def test_defaults_and_overrides():
    settings = PostprocessSettings.from_dict({"score_thr": 0.3, "classes": [0, 2]})
    assert settings == PostprocessSettings(score_thr=0.3, classes=(0, 2))
    assert settings.override({"nms_type": "oks"}) == PostprocessSettings(score_thr=0.3, classes=(0, 2), nms_type="oks")
    assert settings.override({"classes": None}).classes is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"score": 0.5}, "test_cfg: unknown settings score; known: score_thr, nms_pre"),
        ({"score_thr": 1.5}, "test_cfg: score_thr must be between 0 and 1, not 1.5"),
        ({"nms_thr": "abc"}, "test_cfg: nms_thr must be between 0 and 1, not 'abc'"),
        ({"oks_thr": float("nan")}, "test_cfg: oks_thr must be between 0 and 1, not nan"),
        ({"nms_pre": 0}, "test_cfg: nms_pre must be at least 1, not 0"),
        ({"max_per_img": 2.5}, "test_cfg: max_per_img must be at least 1, not 2.5"),
        ({"max_per_img": True}, "test_cfg: max_per_img must be at least 1, not True"),
        ({"nms_type": "iou"}, "test_cfg: nms_type must be one of box, oks, box_oks, not 'iou'"),
        ({"soft_nms": "hard"}, "test_cfg: soft_nms must be one of none, linear, gaussian, not 'hard'"),
        ({"soft_sigma": 0}, "test_cfg: soft_sigma must be above 0, not 0"),
        ({"classes": ["person"]}, "test_cfg: classes must be a list of labels or None, not \\['person'\\]"),
        ({"classes": []}, "test_cfg: classes must be a list of labels or None, not \\[\\]"),
    ],
)
def test_wrong_values_are_named_in_one_line(values, message):
    with pytest.raises(UsageError, match=f"^{message}"):
        PostprocessSettings.from_dict(values, "test_cfg")


def test_overrides_of_a_caller():
    assert settings_overrides() == {}
    assert settings_overrides(score_thr=0.5, max_per_img=9, nms_type="oks") == {
        "score_thr": 0.5, "max_per_img": 9, "nms_type": "oks",
    }  # fmt: skip
    assert settings_overrides(soft_nms="linear", nms_thr=0.0) == {"nms_thr": 0.0, "soft_nms": "linear"}
    with pytest.raises(UsageError, match="^nms_thr must be between 0 and 1, not 7"):
        settings_overrides(nms_thr=7)
    with pytest.raises(UsageError, match="^nms_type must be one of box, oks, box_oks, not 'pose'"):
        settings_overrides(nms_type="pose")
