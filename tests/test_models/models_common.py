"""Small models and batches for the tests of the model classes."""

import contextlib
import copy
import io

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from mmpose.structures import PoseDataSample

from yolox_pose.config import find_config
from yolox_pose.registry import MODELS

SIZES = ("nano", "tiny", "s", "m", "l", "x")


POSE = "yolox-pose_{}_8xb32-300e_coco"


def size_config(size, name=POSE):
    return Config.fromfile(find_config(name.format(size)))


def build_model(size="nano", *, seed=0, preprocessor=None, estimator=None, name=POSE, **head):
    init_default_scope("yolox_pose")
    config = copy.deepcopy(size_config(size, name).model)
    config.data_preprocessor.random_size = None
    config.data_preprocessor.update(preprocessor or {})
    config.head.update(head)
    config.update(estimator or {})
    torch.manual_seed(seed)
    model = MODELS.build(config)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        model.init_weights()  # MMEngine prints every parameter
    return model


def make_sample(generator, count, *, size=128, keypoints=17, classes=1, labelled=0.7, crowd=None):
    def rand(*shape):
        return torch.rand(*shape, generator=generator)

    corner, extent = rand(count, 2) * size * 0.6, rand(count, 2) * size * 0.3 + size * 0.1
    sample = PoseDataSample(
        metainfo={"img_path": "made-up.jpg", "img_id": 7, "ori_shape": (size, size), "letterbox": (1.0, 1.0, 0.0, 0.0)}
    )
    sample.gt_instance_labels = InstanceData(
        bboxes=torch.cat([corner, corner + extent], 1),
        labels=torch.randint(0, classes, (count,), generator=generator),
        keypoints=corner[:, None] + extent[:, None] * rand(count, keypoints, 2),
        keypoints_visible=((rand(count, keypoints) < labelled) * 2).to(torch.uint8),
        areas=extent.prod(1) * 0.53,
    )
    if crowd is not None:
        mask = torch.zeros(1, size, size, dtype=torch.uint8)
        x1, y1, x2, y2 = crowd
        mask[:, y1:y2, x1:x2] = 1
        sample.gt_fields = PixelData(ignore_mask=mask)
    return sample


def make_batch(counts, *, seed=0, size=128, **kwargs):
    generator = torch.Generator().manual_seed(seed)
    images = [torch.randint(0, 256, (3, size, size), generator=generator, dtype=torch.uint8) for _ in counts]
    return {"inputs": images, "data_samples": [make_sample(generator, n, size=size, **kwargs) for n in counts]}


def losses_of(model, batch, training=True):
    model.train(training)
    return model(**model.data_preprocessor(copy.deepcopy(batch), training), mode="loss")
