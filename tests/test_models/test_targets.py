"""Annotations of a batch on their way to the device."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.test_models.models_common import build_model, make_batch
from yolox_pose.errors import DataError  # noqa: E402
from yolox_pose.models.targets import check_labels, collect_targets  # noqa: E402
from yolox_pose.ops import grid_priors  # noqa: E402

STRIDES = (8, 16, 32)


class Copies(TorchDispatchMode):
    """Counts copies of tensors to another device; ``meta`` stands for a GPU."""

    found = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func.__name__.startswith(("_to_copy", "copy_")):
            self.found += args[0].device != result.device
        return result


def priors(device):
    return grid_priors([(128 // stride, 128 // stride) for stride in STRIDES], STRIDES).to(device)


@pytest.mark.parametrize("images", [1, 7])
def test_a_batch_goes_to_the_device_in_six_copies(images):
    samples = make_batch([3] * images)["data_samples"]
    on_device = priors("meta")
    with Copies() as copies:
        targets = collect_targets(samples, on_device, 17)
    assert copies.found == 6
    assert {value.device.type for value in (*targets[:3], *targets.pose)} == {"meta"}


def test_padding_keeps_every_instance_in_its_place():
    samples = make_batch([2, 0, 3])["data_samples"]
    targets = collect_targets(samples, priors("cpu"), 17)
    assert targets.valid.tolist() == [[True, True, False], [False] * 3, [True] * 3]
    for row, sample in enumerate(samples):
        labels, n = sample.gt_instance_labels, len(sample.gt_instance_labels.bboxes)
        assert torch.equal(targets.boxes[row, :n], labels.bboxes) and not targets.boxes[row, n:].any()
        assert torch.equal(targets.pose.keypoints[row, :n], labels.keypoints)
        assert torch.equal(targets.pose.visible[row, :n], labels.keypoints_visible)
        assert torch.equal(targets.pose.areas[row, :n], labels.areas)


def test_the_preprocessor_leaves_annotations_where_they_are():
    model = build_model("nano")
    batch = make_batch([2, 1])
    data = model.data_preprocessor(batch, True)
    for sample, given in zip(data["data_samples"], batch["data_samples"]):
        assert sample.gt_instance_labels.bboxes is given.gt_instance_labels.bboxes


@pytest.mark.parametrize(("image", "label"), [(0, 1), (2, -1), (2, 80)])
def test_a_label_of_no_class_is_refused_with_its_image(image, label):
    model = build_model("nano")
    samples = make_batch([2, 0, 3])["data_samples"]
    for number, sample in enumerate(samples):
        sample.set_metainfo({"img_path": f"{number}.jpg"})
    samples[image].gt_instance_labels.labels[-1] = label
    with pytest.raises(DataError, match=rf"image {image}\.jpg: label {label} does not fit a model of 1 class"):
        check_labels(samples, model.head.num_classes)
