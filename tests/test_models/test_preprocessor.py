import pytest
import torch
from mmengine.logging import MessageHub

from tests.test_models.models_common import make_batch
from yolox_pose.models.preprocessor import (  # noqa: E402
    YOLOXPoseDataPreprocessor,
    random_batch_size,
    resize_batch,
    stack_images,
)


def test_sizes_are_a_function_of_seed_and_iteration():
    sizes = [random_batch_size(0, i, (480, 800)) for i in range(2000)]
    assert sizes == [random_batch_size(0, i, (480, 800)) for i in range(2000)]
    assert sizes != [random_batch_size(1, i, (480, 800)) for i in range(2000)]
    assert sorted(set(sizes)) == list(range(480, 801, 32))
    assert [random_batch_size(0, i, (320, 640), interval=10) for i in range(10)].count(
        random_batch_size(0, 0, (320, 640), interval=10)
    ) == 10


def test_bounds_that_the_divisor_does_not_divide_are_kept():
    sizes = {random_batch_size(0, i, (330, 400)) for i in range(200)}
    assert sizes == {352, 384}


def test_stacking_pads_right_and_bottom_with_grey():
    batch = stack_images([torch.zeros(3, 32, 40, dtype=torch.uint8), torch.zeros(3, 50, 20, dtype=torch.uint8)], 32)
    assert batch.shape == (2, 3, 64, 64)
    assert batch[0, :, :32, :40].eq(0).all()
    assert batch[0, :, 32:].eq(114).all()
    assert batch[0, :, :, 40:].eq(114).all()


def test_annotations_follow_a_resized_batch():
    samples = make_batch((2,), size=64)["data_samples"]
    before = samples[0].clone().gt_instance_labels
    boxes, keypoints, areas = before.bboxes.clone(), before.keypoints.clone(), before.areas.clone()
    resized = resize_batch(torch.zeros(1, 3, 64, 64), samples, (96, 128))
    labels = samples[0].gt_instance_labels
    assert resized.shape == (1, 3, 96, 128)
    assert torch.allclose(labels.bboxes, boxes * torch.tensor([2, 1.5, 2, 1.5]))
    assert torch.allclose(labels.keypoints, keypoints * torch.tensor([2, 1.5]))
    assert torch.allclose(labels.areas, areas * 3)


def test_a_lit_pixel_and_its_keypoint_stay_together():
    """A soft spot: bilinear resizing without antialiasing would lose a single pixel."""
    y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    point = torch.tensor([21.0, 40.0])
    image = torch.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / 18)[None, None].repeat(1, 3, 1, 1)
    samples = make_batch((1,), size=64)["data_samples"]
    samples[0].gt_instance_labels.keypoints = point.repeat(1, 17, 1)
    resized = resize_batch(image, samples, (96, 96))[0, 0]
    grid = torch.arange(96) + 0.5
    centroid = torch.stack([(resized.sum(0) * grid).sum(), (resized.sum(1) * grid).sum()]) / resized.sum()
    assert torch.allclose(centroid, samples[0].gt_instance_labels.keypoints[0, 0], atol=0.1)


def test_training_batches_are_resized_by_iteration_and_test_batches_are_not():
    preprocessor = YOLOXPoseDataPreprocessor(random_size=(64, 160))
    preprocessor.phase.seed = 3
    hub = MessageHub.get_current_instance()
    sizes = []
    for iteration in (0, 1, 2):
        hub.update_info("iter", iteration)
        sizes.append(preprocessor(make_batch((1,), size=96), training=True)["inputs"].shape[-1])
    hub.update_info("iter", 0)
    assert sizes == [random_batch_size(3, i, (64, 160)) for i in range(3)]
    assert preprocessor(make_batch((1,), size=96), training=False)["inputs"].shape[-1] == 96


def test_batches_are_float_channels_last_and_not_normalised():
    inputs = YOLOXPoseDataPreprocessor()(make_batch((0, 0), size=64))["inputs"]
    assert inputs.dtype == torch.float32
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    assert inputs.max() == 255


def test_normalisation_of_other_weights():
    preprocessor = YOLOXPoseDataPreprocessor(mean=[10.0, 20.0, 30.0], std=[2.0, 2.0, 2.0])
    images = [torch.full((3, 32, 32), 40, dtype=torch.uint8)]
    inputs = preprocessor({"inputs": images, "data_samples": None})["inputs"]
    assert inputs[0, :, 0, 0].tolist() == [pytest.approx(15), pytest.approx(10), pytest.approx(5)]
