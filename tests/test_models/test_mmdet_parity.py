"""Same weights, same inputs: names, outputs, assignments, losses and detections of mmdet's YOLOX."""

from pathlib import Path

import mmdet
import pytest
import torch
from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402

from tests.test_models.models_common import SIZES, build_model, make_batch
from yolox_pose.checkpoints import LAYOUTS, import_name  # noqa: E402
from yolox_pose.config import load_config  # noqa: E402
from yolox_pose.models.targets import collect_targets  # noqa: E402
from yolox_pose.ops import decode_boxes  # noqa: E402
from yolox_pose.registry import MODELS  # noqa: E402

CONFIGS = Path(mmdet.__file__).parent / ".mim" / "configs" / "yolox"


def peer_config(size):
    return Config.fromfile(CONFIGS / f"yolox_{size}_8xb8-300e_coco.py").model


def peer_model(size):
    from mmdet.registry import MODELS as MMDET_MODELS

    init_default_scope("mmdet")
    config = peer_config(size)
    config.data_preprocessor.batch_augments = None
    model = MMDET_MODELS.build(config)
    init_default_scope("yolox_pose")
    return model


def shapes(model):
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


@pytest.mark.parametrize("size", SIZES)
def test_names_and_shapes_are_those_of_mmdet(size):
    with torch.device("meta"):
        theirs = shapes(peer_model(size))
        ours = shapes(MODELS.build(load_config(f"yolox_{size}_8xb8-300e_coco").model))
    assert ours == {import_name(key, LAYOUTS["mmdet"]): shape for key, shape in theirs.items()}


@pytest.fixture(scope="module")
def models():
    """Ours and mmdet's of size tiny with the same weights, random ones with live batch-norm statistics."""
    model = build_model("tiny", name="yolox_{}_8xb8-300e_coco").eval()
    generator = torch.Generator().manual_seed(4)
    for key, value in model.state_dict().items():
        if key.endswith("running_var"):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
        if key.endswith(("running_mean", "bias")):
            value.add_(torch.randn(value.shape, generator=generator) * 0.1)
    for layer in (*model.head.head_module.out_cls, *model.head.head_module.out_obj):
        layer.bias.data += 2  # hundreds of detections, with scores far apart
        layer.weight.data *= 30
    peer = peer_model("tiny").eval().to(memory_format=torch.channels_last)
    peer.load_state_dict({key: model.state_dict()[import_name(key, LAYOUTS["mmdet"])] for key in peer.state_dict()})
    return model, peer


@pytest.fixture(scope="module")
def features(models):
    batch = models[0].data_preprocessor(make_batch((1, 4, 9, 0), seed=11, size=160, classes=80))
    with torch.no_grad():
        return models[0].extract_feat(batch["inputs"]), batch["data_samples"]


def truth(samples):
    return [InstanceData(bboxes=s.gt_instance_labels.bboxes, labels=s.gt_instance_labels.labels) for s in samples]


def test_raw_outputs_are_equal(models, features):
    model, peer = models
    with torch.no_grad():
        ours, theirs = model.head(features[0]), peer.bbox_head(features[0])
    for mine, levels in zip((ours.classes, ours.boxes, ours.objectness[..., None]), theirs):
        flat = torch.cat([level.permute(0, 2, 3, 1).flatten(1, 2) for level in levels], 1)
        assert torch.allclose(mine, flat, rtol=0, atol=1e-5)


def test_losses_are_equal(models, features):
    """The assignment has mmdet's rule but for its penalty of 1e5, which rounds costs outside the centres to 0.008."""
    model, peer = models
    maps, samples = features
    model.head.phase.final_epoch, peer.bbox_head.use_l1 = 0, True
    with torch.no_grad():
        ours = model.head.loss(model.head(maps), model.head.priors(maps), samples)
        theirs = peer.bbox_head.loss_by_feat(
            *peer.bbox_head(maps), truth(samples), [sample.metainfo for sample in samples]
        )
    model.head.phase.final_epoch, peer.bbox_head.use_l1 = None, False
    names = {"loss_obj": "loss_obj", "loss_cls": "loss_cls", "loss_bbox": "loss_bbox", "loss_bbox_l1": "loss_l1"}
    assert {name for name in ours if "loss" in name} == set(names)
    for mine, other in names.items():
        assert ours[mine].item() > 0
        assert ours[mine].item() == pytest.approx(theirs[other].item(), rel=1e-4), mine


def test_every_prior_has_the_instance_that_mmdet_gives_it(models, features):
    model, peer = models
    maps, samples = features
    with torch.no_grad():
        predictions, priors = model.head(maps), model.head.priors(maps)
        found = model.head.assign(predictions, priors, collect_targets(samples, priors, 0))
        points = torch.cat([priors[:, :2] + priors[:, 2:] / 2, priors[:, 2:].repeat(1, 2)], 1)
        for image, instances in enumerate(truth(samples)):
            scores = predictions.classes[image].sigmoid() * predictions.objectness[image, :, None].sigmoid()
            theirs = peer.bbox_head.assigner.assign(
                InstanceData(
                    bboxes=decode_boxes(predictions.boxes, priors)[image], scores=scores.sqrt(), priors=points
                ),
                instances,
            )
            assert torch.equal(found.instance[image], theirs.gt_inds - 1)
            positive = theirs.gt_inds > 0
            assert torch.allclose(found.overlap[image, positive], theirs.max_overlaps[positive], rtol=1e-5)
    assert (found.instance >= 0).any(1).tolist() == [True, True, True, False]


def test_detections_are_equal(models, features):
    """Above the threshold, before clipping: mmdet clips to the padded input, we to the image."""
    model, peer = models
    maps, samples = features
    settings = {"score_thr": 0.01, "nms_pre": 10_000, "nms_thr": 0.65, "max_per_img": 10_000}
    with torch.no_grad():
        ours = model.head.predict(model.head(maps), model.head.priors(maps), settings)
        metas = [{"img_shape": (10_000, 10_000), "scale_factor": (1.0, 1.0)} for _ in samples]
        theirs = peer.bbox_head.predict_by_feat(
            *peer.bbox_head(maps), batch_img_metas=metas, cfg=Config(peer_config("tiny").test_cfg), rescale=False
        )
    for mine, other in zip(ours, theirs):
        assert len(mine.scores) == len(other.scores) >= 100
        apart = (mine.bboxes[:, None] - other.bboxes).abs().amax(-1)  # pairwise, as equal scores have no order
        same = apart < 1e-4
        same &= (mine.scores[:, None] - other.scores).abs() < 1e-5
        same &= mine.labels[:, None] == other.labels
        assert same.any(0).all() and same.any(1).all()
