"""What a model takes of a checkpoint, class rows, and the line that refuses one."""

import pytest
import torch

from yolox_pose.checkpoints.matching import (  # noqa: E402
    check_complete,
    check_start,
    match_classes,
    match_table,
    match_weights,
    part_of,
)
from yolox_pose.errors import DataError  # noqa: E402
from yolox_pose.structures.classes import COCO_CLASSES  # noqa: E402

HEAD = "head.head_module."


def weights(classes=80, keypoints=0, width=16, seed=0):
    """One tensor of every part of a model, each with numbers of its own."""
    made = torch.Generator().manual_seed(seed)
    found = {
        "backbone.stem.conv.conv.weight": torch.rand(width, 12, 3, 3, generator=made),
        "backbone.stem.conv.bn.num_batches_tracked": torch.tensor(7),
        "neck.out_convs.0.conv.weight": torch.rand(width, width, 1, 1, generator=made),
        f"{HEAD}conv_cls.0.0.conv.weight": torch.rand(width, width, 3, 3, generator=made),
        f"{HEAD}out_cls.0.weight": torch.rand(classes, width, 1, 1, generator=made),
        f"{HEAD}out_cls.0.bias": torch.rand(classes, generator=made),
        f"{HEAD}out_bbox.0.bias": torch.rand(4, generator=made),
    }
    if keypoints:
        found |= {
            f"{HEAD}conv_pose.0.0.conv.weight": torch.rand(width, width, 3, 3, generator=made),
            f"{HEAD}out_kpt.0.weight": torch.rand(2 * keypoints, width, 1, 1, generator=made),
            f"{HEAD}out_kpt_vis.0.weight": torch.rand(keypoints, width, 1, 1, generator=made),
        }
    return found


@pytest.mark.parametrize(
    ("source", "target", "names", "expected"),
    [
        (80, 1, (None, None), [0]),
        (80, 1, (None, ("dog",)), [16]),
        (80, 2, (None, ("dog", "person")), [16, 0]),
        (80, 3, (None, ("dog", "unicorn", "cat")), [16, None, 15]),
        (80, 80, (None, None), list(range(80))),
        (80, 2, (None, None), None),
        (80, 2, (None, ("unicorn", "griffin")), None),
        (2, 2, (("a", "b"), ("b", "a")), [1, 0]),
        (2, 2, (("a", "b"), ("c", "d")), [0, 1]),
        (2, 2, (("a",), None), [0, 1]),
        (3, 1, (("cat", "person", "dog"), None), [1]),
    ],
)
def test_classes_are_found_by_name(source, target, names, expected):
    assert match_classes(source, target, *names) == expected


def test_rows_of_the_class_output():
    detector, model = weights(80), weights(3, 17, seed=1)
    fit = match_weights(detector, model, target_classes=("dog", "unicorn", "person"))
    for name in ("weight", "bias"):
        key = f"{HEAD}out_cls.0.{name}"
        assert torch.equal(fit.weights[key], torch.stack([detector[key][16], model[key][1], detector[key][0]]))
    assert fit.classes == "2 of 3 classes by name, out of the 80 of the file; 1 are new"
    assert torch.equal(fit.weights[f"{HEAD}out_bbox.0.bias"], detector[f"{HEAD}out_bbox.0.bias"])
    same = match_weights(detector, weights(80), target_classes=COCO_CLASSES)
    assert same.classes == "" and torch.equal(same.weights[f"{HEAD}out_cls.0.bias"], detector[f"{HEAD}out_cls.0.bias"])
    assert match_weights(detector, weights(1)).classes == "person is row 0 of the 80 classes of the file"


def test_the_table_counts_every_tensor_once():
    detector, model = weights(80), weights(1, 17)
    detector[f"{HEAD}extra.weight"] = torch.zeros(1)
    assert match_table(match_weights(detector, model), model).splitlines() == [
        "           matched     new dropped",
        "backbone         1       0       0",
        "neck             1       0       0",
        "boxes            1       0       0",
        "classes          3       0       0",
        "keypoints        0       3       0",
        "other            0       0       1",
        "person is row 0 of the 80 classes of the file",
    ]


def test_parts():
    assert [part_of(key) for key in weights(1, 1)] == [
        "backbone", "backbone", "neck", "classes", "classes", "classes", "boxes", *["keypoints"] * 3
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (weights(80, 17), r"2 have another shape \(such as '.*out_cls.0.weight', 80x16x1x1 in the file, 1x16x1x1 in the "
                          r"model\); its number of classes is 80, the model 1"),
        (weights(1), r"of its 10 tensors 3 are missing \(such as '.*conv_pose.*; its number of keypoints is none, the model 17"),
        (weights(1, 17, width=32), r"have another shape \(such as 'backbone.stem.*32x12x3x3 in the file.*; it is of size s, the model nano"),
        (dict(list(weights(1, 17).items())[:3]), r"7 are missing"),
    ],
    ids=["classes", "keypoints", "width", "half"],
)  # fmt: skip
def test_what_does_not_fill_a_model_is_refused(source, message):
    model = weights(1, 17, seed=3)
    fit = match_weights(source, model, remap=False)
    with pytest.raises(DataError, match=message) as error:
        check_complete(fit, model, source, "w.pth")
    assert "\n" not in str(error.value) and str(error.value).startswith("checkpoint w.pth does not fit")


def test_what_fills_a_model_is_not():
    model = weights(1, 17, seed=3)
    source = {key: value for key, value in weights(1, 17).items() if not key.endswith("num_batches_tracked")}
    check_complete(match_weights(source, model, remap=False), model, source, "w.pth")


@pytest.mark.parametrize(
    "source",
    [
        weights(80),
        weights(5, 17),
        weights(1, 14),
        {key: value for key, value in weights(1).items() if key.startswith("backbone.")},
        {key.replace("conv_pose.0.0.conv", "conv_pose.0.0.depthwise_conv"): v for key, v in weights(1, 17).items()},
    ],
    ids=["detector", "classes", "keypoints", "backbone", "another keypoint branch"],
)
def test_a_training_can_start_from(source):
    model = weights(1, 17, seed=3)
    check_start(match_weights(source, model), model, source, "w.pth")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (weights(80, width=32), "it is of size s, the model nano"),
        ({key: v for key, v in weights(80).items() if not key.startswith("neck.")}, "1 are missing.*neck.out_convs"),
        ({key: v for key, v in weights(80).items() if not key.startswith("backbone.")}, "1 are missing.*backbone.stem"),
        ({key: v for key, v in weights(1, 17).items() if ".conv_pose." not in key}, "1 are missing.*conv_pose"),
    ],
    ids=["width", "no neck", "no backbone", "half a keypoint branch"],
)
def test_a_training_cannot_start_from(source, message):
    model = weights(1, 17, seed=3)
    with pytest.raises(DataError, match=message):
        check_start(match_weights(source, model), model, source, "w.pth")
