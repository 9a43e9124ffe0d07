import json

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from yolox_pose.datasets.coco import CocoPoseDataset, dataset_metainfo
from yolox_pose.datasets.sampler import EpochSampler, SampleKey
from yolox_pose.errors import DataError, ImageError
from yolox_pose.registry import DATA_SAMPLERS, DATASETS
from yolox_pose.structures.skeleton import COCO_PERSON, get_skeleton

SIZE = (96, 64)
FINAL = [{"type": "LoadBGRImage"}, {"type": "LetterboxResize", "input_size": SIZE}, {"type": "PackYOLOXPoseInputs"}]
TRAIN = [
    {"type": "LoadBGRImage"},
    {"type": "YOLOXPoseMosaic", "input_size": SIZE},
    {"type": "YOLOXPoseAffine", "input_size": SIZE},
    {"type": "YOLOXPoseMixUp", "input_size": SIZE},
    {"type": "YOLOXPoseHSV"},
    {"type": "YOLOXPoseFlip"},
    {"type": "DropTinyInstances"},
    {"type": "PackYOLOXPoseInputs"},
]


def dataset(folder, **options):
    config = folder.config(**{"pipeline": TRAIN, "final_pipeline": FINAL, **options})
    return DATASETS.build(dict(type="CocoPoseDataset", **config))


def equal(first, second):
    if not torch.equal(first["inputs"], second["inputs"]):
        return False
    first, second = (sample["data_samples"].gt_instance_labels for sample in (first, second))
    return all(torch.equal(first[key], second[key]) for key in first.keys())  # noqa: SIM118


def loaded(data, epoch, workers):
    sampler = EpochSampler(data, seed=1)
    sampler.set_epoch(epoch)
    loader = DataLoader(data, batch_size=3, sampler=sampler, num_workers=workers, collate_fn=lambda batch: batch)
    return [sample for batch in loader for sample in batch]


def test_items_by_key_and_by_index(coco_folder):
    data = dataset(coco_folder())
    assert isinstance(data, CocoPoseDataset) and len(data) == 4
    assert equal(data[2], data[SampleKey(0, 2)])
    assert not equal(data[SampleKey(1, 2)], data[SampleKey(0, 2)])
    assert not equal(data[1], dataset(coco_folder(), seed=5)[1])
    assert data[0]["inputs"].shape == (3, 64, 96)


def test_same_samples_with_any_number_of_workers_and_after_a_resume(coco_folder):
    folder = coco_folder(num_images=7)
    plain = [sample for epoch in range(3) for sample in loaded(dataset(folder), epoch, 0)]
    workers = [sample for epoch in range(3) for sample in loaded(dataset(folder), epoch, 2)]
    assert len(plain) == 21 and all(equal(a, b) for a, b in zip(plain, workers))
    resumed = loaded(dataset(folder), 2, 1)
    assert all(equal(a, b) for a, b in zip(plain[14:], resumed))
    assert not any(equal(a, b) for a, b in zip(plain[:7], plain[7:14]))


def test_final_pipeline_from_the_final_epoch_on(coco_folder):
    data = dataset(coco_folder())
    data.phase.final_epoch = 3
    letterboxed = [data[SampleKey(epoch, 0)]["data_samples"].letterbox != (1, 1, 0, 0) for epoch in range(5)]
    assert letterboxed == [False, False, False, True, True]
    same = dataset(coco_folder(), final_pipeline=None)
    same.phase.final_epoch = 0
    assert same[0]["data_samples"].letterbox == (1, 1, 0, 0)


def test_labels_of_a_plain_sample(coco_folder):
    folder = coco_folder()
    sample = dataset(folder, pipeline=FINAL)[1]["data_samples"]
    labels = sample.gt_instance_labels
    expected = np.array([8, 6, 32, 36]) * np.tile(sample.letterbox[:2], 2) + np.tile(sample.letterbox[2:], 2)
    np.testing.assert_allclose(labels.bboxes[0], expected, rtol=1e-5)
    assert sample.img_id == 2 and sample.img_path.endswith("images/2.png") and sample.ori_shape == (48, 64)


def test_samples_are_copies(coco_folder):
    data = dataset(coco_folder(), pipeline=[lambda results: results])
    data[0]["bboxes"][:] = -1
    assert (data.records.boxes >= 0).all()


def test_test_mode_has_no_labels(coco_folder):
    folder = coco_folder()
    folder.content["annotations"] = []
    sample = dataset(folder, pipeline=FINAL, test_mode=True)[0]["data_samples"]
    assert "gt_instance_labels" not in sample and sample.letterbox[0] > 1


def test_filters_and_indices(coco_folder):
    folder = coco_folder()
    folder.content["annotations"] = [folder.person(1, 2), folder.person(2, 3, keypoints=[0] * 51)]
    assert len(dataset(folder)) == 4
    assert dataset(folder, keep_empty=False).records.image_ids.tolist() == [2, 3]
    assert dataset(folder, min_keypoints=1).records.image_ids.tolist() == [2]
    assert dataset(folder, indices=2).records.image_ids.tolist() == [1, 2]
    assert dataset(folder, indices=[3, 1]).records.image_ids.tolist() == [4, 2]
    assert len(dataset(folder, keep_empty=False, test_mode=True)) == 4
    with pytest.raises(DataError, match="no image is left after the filters"):
        dataset(folder, indices=1, keep_empty=False)


def test_paths_join_the_data_root(coco_folder, monkeypatch):
    folder = coco_folder()
    folder.save()
    monkeypatch.chdir(folder.root.parent)
    data = CocoPoseDataset("annotations.json", "coco", {"img": "images/"}, pipeline=[])
    assert data.ann_file == "coco/annotations.json" and data.image_path(0) == "coco/images/1.png"
    absolute = CocoPoseDataset(str(folder.root / "annotations.json"), "elsewhere", {"img": str(folder.root / "images")})
    assert len(absolute) == 4


def test_lazy_init_reads_once_needed(coco_folder):
    folder = coco_folder()
    data = dataset(folder, lazy_init=True)
    (folder.root / "annotations.json").rename(folder.root / "moved.json")
    with pytest.raises(DataError, match="annotation file not found"):
        data.full_init()
    (folder.root / "moved.json").rename(folder.root / "annotations.json")
    assert len(data) == 4


@pytest.mark.parametrize("workers", [0, 1])
def test_truncated_image_is_one_line_also_from_a_worker(coco_folder, workers):
    folder = coco_folder()
    path = folder.root / "images" / "3.png"
    data = dataset(folder, pipeline=FINAL)
    path.write_bytes(path.read_bytes()[:200])
    loader = DataLoader(data, num_workers=workers, sampler=EpochSampler(data, shuffle=False), collate_fn=pseudo_collate)
    with pytest.raises(ImageError) as error:
        list(loader)
    assert str(error.value) == f"image {path} (id 3) is truncated"


def test_unreadable_images_can_be_skipped(coco_folder, caplog):
    folder = coco_folder()
    data = dataset(folder, pipeline=FINAL, on_error="skip")
    for image_id in (3, 4):
        (folder.root / "images" / f"{image_id}.png").write_bytes(b"")
    assert [data[i]["data_samples"].img_id for i in range(4)] == [1, 2, 1, 1]
    test = dataset(folder, pipeline=FINAL, on_error="skip", test_mode=True)
    with pytest.raises(ImageError):
        test[2]


def test_missing_images_are_skipped_at_the_start(coco_folder):
    folder = coco_folder()
    (folder.root / "images" / "2.png").unlink()
    assert dataset(folder, on_error="skip").records.image_ids.tolist() == [1, 3, 4]
    with pytest.raises(DataError, match="image 2: image file not found"):
        dataset(folder)


def test_transform_that_gives_nothing(coco_folder):
    with pytest.raises(DataError, match="gave nothing for image 1"):
        dataset(coco_folder(), pipeline=[lambda results: None])[0]


def test_metainfo_has_the_fields_of_mmpose():
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    theirs = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
    ours = dataset_metainfo("coco", ["person"], COCO_PERSON)
    for key in ("num_keypoints", "keypoint_id2name", "keypoint_name2id", "num_skeleton_links"):
        assert ours[key] == theirs[key]
    for key in ("sigmas", "flip_indices"):
        np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-6)
    assert {tuple(sorted(link)) for link in ours["skeleton_links"]} == {
        tuple(sorted(link)) for link in theirs["skeleton_links"]
    }
    assert {frozenset(pair) for pair in ours["flip_pairs"]} == {frozenset(pair) for pair in theirs["flip_pairs"]}
    assert np.shape(ours["keypoint_colors"]) == (17, 3) and len(ours["skeleton_link_colors"]) == len(
        ours["skeleton_links"]
    )
    json.dumps(ours)


def test_mmpose_visualizer_takes_the_metainfo(coco_folder):
    from mmengine.structures import InstanceData
    from mmpose.structures import PoseDataSample
    from mmpose.visualization import PoseLocalVisualizer

    data = dataset(coco_folder(), pipeline=FINAL)
    assert data.metainfo == data.dataset_meta and data.metainfo["classes"] == ["person"]
    visualizer = PoseLocalVisualizer(backend="matplotlib")
    visualizer.set_dataset_meta(data.metainfo)
    rng = np.random.default_rng(0)
    sample = PoseDataSample(pred_instances=InstanceData(
        keypoints=rng.uniform(5, 60, (2, 17, 2)).astype(np.float32), keypoint_scores=np.ones((2, 17), np.float32),
        bboxes=np.float32([[5, 5, 50, 50], [9, 9, 60, 60]]), scores=np.ones(2, np.float32),
    ))  # fmt: skip
    img = np.zeros((64, 64, 3), np.uint8)
    visualizer.add_datasample("x", img, sample, draw_gt=False, draw_bbox=True, kpt_thr=0.1)
    assert visualizer.get_image().any()


def test_boxes_alone_and_other_skeletons(coco_folder):
    data = dataset(coco_folder(), skeleton=None)
    labels = data[0]["data_samples"].gt_instance_labels
    assert labels.keypoints.shape[1:] == (0, 2) and "num_keypoints" not in data.metainfo
    skeleton = {"names": ["left", "middle", "right"], "flip_pairs": [(0, 2)], "links": [(0, 1)]}
    small = dataset(coco_folder(num_keypoints=3), skeleton=skeleton)
    assert small[0]["data_samples"].gt_instance_labels.keypoints.shape[1:] == (3, 2)
    assert small.metainfo["flip_indices"] == get_skeleton(skeleton).flip_indices.tolist() == [2, 1, 0]


def test_registered_names_are_not_those_of_mmpose():
    from mmpose.registry import DATASETS as THEIRS

    assert DATASETS.get("CocoPoseDataset") is CocoPoseDataset and "CocoPoseDataset" not in THEIRS.module_dict
    assert DATA_SAMPLERS.get("EpochSampler") is EpochSampler


def test_workers_share_the_annotations(shared_data):
    """No Python object per person or image, whose reference counts would copy the memory into every worker."""
    data = CocoPoseDataset("annotations/val.json", str(shared_data / "coco_persons"), {"img": "images"})
    values = vars(data.records).values()
    assert all(not isinstance(value, (list, dict)) or len(value) < 20 for value in values)


@pytest.mark.parametrize("part", ["train", "val"])
def test_real_images_through_both_pipelines(shared_data, part):
    root = str(shared_data / "coco_persons")
    options = {"pipeline": TRAIN, "final_pipeline": FINAL, "indices": 12}
    data = CocoPoseDataset(f"annotations/{part}.json", root, {"img": "images"}, **options)
    for epoch in (0, 9):
        data.phase.final_epoch = 5
        for index in range(len(data)):
            item = data[SampleKey(epoch, index)]
            labels = item["data_samples"].gt_instance_labels
            assert item["inputs"].shape == (3, 64, 96) and torch.isfinite(labels.keypoints).all()
            assert (labels.bboxes[:, 2:] > labels.bboxes[:, :2]).all() and (labels.areas > 0).all()
            assert (labels.bboxes >= 0).all() and (labels.bboxes <= torch.tensor([96, 64, 96, 64])).all()


@pytest.mark.parametrize("limit", [1.0, 2e-5])
@pytest.mark.parametrize("workers", [0, 2])
def test_cached_images_give_the_same_samples(coco_folder, workers, limit):
    folder = coco_folder(num_images=6)
    plain, cached = dataset(folder), dataset(folder, cache="ram", cache_limit_gb=limit)
    for epoch in range(2):
        assert all(equal(a, b) for a, b in zip(loaded(plain, epoch, 0), loaded(cached, epoch, workers)))
    assert len(cached._cache) == (6 if limit == 1.0 else 2)
    with pytest.raises(ValueError, match="cache must be None or 'ram'"):
        dataset(folder, cache="disk")


def test_one_input_size_for_a_pipeline_and_transforms_left_out_by_name(coco_folder):
    pipeline = [{"type": transform["type"]} for transform in TRAIN]
    options = {"pipeline": pipeline, "input_size": (80, 48)}
    full = dataset(coco_folder(), **options)
    assert full[0]["inputs"].shape == (3, 48, 80)
    short = dataset(coco_folder(), skip_transforms=("YOLOXPoseMosaic", "yolox_pose.YOLOXPoseMixUp"), **options)
    assert len(full.pipeline) - len(short.pipeline) == 2 and short[0]["inputs"].shape == (3, 48, 80)
    with pytest.raises((ValueError, KeyError), match="NoSuchTransform"):
        dataset(coco_folder(), skip_transforms=("NoSuchTransform",), **options)


def test_settings_of_a_transform_by_its_name(coco_folder):
    pipeline = [{"type": "yolox_pose.YOLOXPoseAffine", "scale_range": (0.5, 1.0), "max_shear": 3.0}]
    options = {"YOLOXPoseAffine": {"scale_range": (0.1, 2.0)}}
    (changed,) = dataset(coco_folder(), pipeline=pipeline, transform_options=options).pipeline
    assert changed.scale_range == (0.1, 2.0) and changed.max_shear == 3.0
    with pytest.raises((ValueError, KeyError), match="NoSuchTransform"):
        dataset(coco_folder(), pipeline=pipeline, transform_options={"NoSuchTransform": {}})


def test_wrong_settings_of_transforms():
    from yolox_pose.datasets.transforms.base import as_range, as_size

    assert as_size(640) == (640, 640) and as_size([640, 384]) == (640, 384)
    for wrong in ((640,), (0, 5), (64.5, 64), "ab"):
        with pytest.raises(ValueError, match="input_size must be"):
            as_size(wrong)
    with pytest.raises(ValueError, match="lower limit first"):
        as_range((1.0, 0.5))
