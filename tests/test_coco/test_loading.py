import json

import numpy as np
import pytest

from yolox_pose.coco.loading import find_problems, load_records
from yolox_pose.coco.records import PackedBytes, ReadOptions
from yolox_pose.errors import DataError
from yolox_pose.structures.constants import AREA_PER_BOX


def load(folder, on_error="raise", **options):
    return load_records(folder.save(), ReadOptions(image_root=folder.root / "images", **options), on_error=on_error)


def test_reads_boxes_keypoints_and_ids(coco_folder):
    folder = coco_folder()
    folder.content["annotations"][0] |= {"id": 900_100_559_842, "area": 300.5}
    records = load(folder)
    assert len(records) == 4 and records.num_keypoints == 17 and records.classes == ("person",)
    assert records.ann_ids.tolist() == [900_100_559_842, 20, 30, 40]
    assert records.boxes[0].tolist() == [8, 6, 32, 36]
    np.testing.assert_allclose(
        records.keypoints[0].ravel(),
        np.reshape(folder.content["annotations"][0]["keypoints"], (17, 3))[:, :2].ravel(),
        rtol=1e-6,
    )
    assert (records.visible == 2).all()
    np.testing.assert_allclose(records.areas, [300.5] + [AREA_PER_BOX * 24 * 30] * 3)
    assert records.file_name(2) == "3.png"


def test_ids_of_64_bits_are_exact(coco_folder):
    folder = coco_folder(num_images=1)
    big = 2**62 + 1
    folder.content["images"][0]["id"] = folder.content["annotations"][0]["image_id"] = big
    folder.content["annotations"][0]["id"] = big + 2
    records = load(folder)
    assert records.image_ids.tolist() == [big] and records.ann_ids.tolist() == [big + 2]


def test_images_in_file_order_with_their_people_and_empty_ones_kept(coco_folder):
    folder = coco_folder()
    folder.content["images"].reverse()
    folder.content["annotations"] = [folder.person(5, 2), folder.person(6, 4), folder.person(7, 2)]
    records = load(folder)
    assert records.image_ids.tolist() == [4, 3, 2, 1]
    assert records.instance_counts.tolist() == [1, 0, 2, 0]
    assert records.ann_ids[records.rows(2)].tolist() == [5, 7]
    assert records.rows(1).stop == records.rows(1).start


def test_select_keeps_rows_with_their_images(coco_folder):
    folder = coco_folder()
    folder.content["annotations"] = [folder.person(5, 2), folder.person(6, 4), folder.person(7, 2)]
    records = load(folder).select([3, 0, 1])
    assert records.image_ids.tolist() == [4, 1, 2]
    assert records.ann_ids.tolist() == [6, 5, 7] and records.offsets.tolist() == [0, 1, 1, 3]
    assert [records.file_name(i) for i in range(3)] == ["4.png", "1.png", "2.png"]


def test_unlabeled_people_keep_their_box(coco_folder):
    folder = coco_folder()
    folder.content["annotations"][0]["keypoints"] = [0] * 51
    del folder.content["annotations"][1]["keypoints"]
    records = load(folder)
    assert len(records.boxes) == 4 and records.visible.any(axis=1).tolist() == [False, False, True, True]
    assert records.counts["people without a keypoint list"] == 1


def test_box_slightly_beyond_the_image_is_clipped_and_counted(coco_folder):
    folder = coco_folder()
    folder.content["annotations"][0]["bbox"] = [-1.5, 10, 30, 20]
    folder.content["annotations"][1]["bbox"] = [40, 20, 24.005, 10]
    records = load(folder)
    assert records.boxes[0].tolist() == [0, 10, 28.5, 30] and records.boxes[1, 2] == 64
    assert records.counts["boxes clipped"] == 1


@pytest.mark.parametrize(("width", "clipped"), [(24.009, 0), (24.011, 1), (26.0, 1)])
def test_rounding_of_boxes_is_not_counted(coco_folder, width, clipped):
    folder = coco_folder()
    folder.content["annotations"][0]["bbox"] = [40, 20, width, 10]
    records = load(folder)
    assert records.counts["boxes clipped"] == clipped and records.boxes[0].tolist() == [40, 20, 64, 30]


def test_absent_and_zero_areas_are_estimated_and_counted(coco_folder):
    folder = coco_folder()
    for annotation, area in zip(folder.content["annotations"], (0, None, 5, 0.0)):
        annotation["area"] = area
    records = load(folder)
    assert records.counts["areas estimated from the box"] == 3 and records.areas[2] == 5


def test_unlabeled_keypoints_may_be_anywhere(coco_folder):
    folder = coco_folder()
    folder.content["annotations"][0]["keypoints"][:3] = [-5, 999, 0]
    assert "keypoints outside the image ignored" not in load(folder).counts


@pytest.mark.parametrize("name", [5, "", None, ["1.png"]])
def test_file_names_are_text(coco_folder, name):
    folder = coco_folder()
    folder.content["images"][0]["file_name"] = name
    with pytest.raises(DataError, match="image 1: file_name is .* not a name"):
        load(folder)


def test_the_largest_image(coco_folder):
    folder = coco_folder()
    folder.content["images"][0]["width"] = 2**20
    assert load_records(folder.save()).sizes[0].tolist() == [2**20, 48]
    folder.content["images"][0]["width"] = 2**20 + 1
    with pytest.raises(DataError, match="not whole positive numbers"):
        load_records(folder.save())
    skipped = load_records(folder.save(), on_error="skip")
    assert skipped.counts["boxes clipped"] == 0 and skipped.counts["boxes without extent ignored"] == 1


def test_categories_with_the_same_name_end_the_reading(coco_folder):
    folder = coco_folder()
    folder.content["categories"] = [{"id": 1, "name": "person"}, {"id": 2, "name": "person"}]
    (problem,) = find_problems(folder.save(), ReadOptions(classes=["dog"]))
    assert problem.message == "category name 'person' is used twice"


def test_other_categories_need_no_keypoints(coco_folder):
    folder = coco_folder()
    folder.content["categories"].append({"id": 2, "name": "dog"})
    folder.content["annotations"][0]["category_id"] = 2
    assert len(load(folder, other_categories="ignore").boxes) == 3


def test_keypoint_outside_is_unlabeled_and_counted(coco_folder):
    folder = coco_folder()
    folder.content["annotations"][0]["keypoints"][0] = 65.0
    folder.content["annotations"][0]["keypoints"][3] = 64.0
    records = load(folder)
    assert records.visible[0].tolist() == [0] + [2] * 16
    assert records.counts["keypoints outside the image ignored"] == 1


def test_box_without_extent_is_ignored_and_counted(coco_folder):
    folder = coco_folder()
    folder.content["annotations"][0]["bbox"] = [10, 10, 12, 0]
    records = load(folder)
    assert records.ann_ids.tolist() == [20, 30, 40] and records.counts["boxes without extent ignored"] == 1


@pytest.mark.parametrize("kind", ["box", "polygon", "counts", "string"])
def test_crowd_forms_give_the_same_region(coco_folder, kind):
    from pycocotools import mask as mask_utils

    folder, expected = coco_folder(), np.zeros((48, 64), np.uint8)
    expected[10:22, 20:44] = 1
    rle = mask_utils.encode(np.asfortranarray(expected))
    crowd = folder.person(99, 1, bbox=(20, 10, 24, 12), iscrowd=1, num_keypoints=0)
    flat = expected.ravel(order="F").astype(int)
    runs = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1, [flat.size]])).tolist()
    forms = {
        "box": None,
        "polygon": [[20, 10, 44, 10, 44, 22, 20, 22]],
        "counts": {"size": [48, 64], "counts": runs},
        "string": {"size": [48, 64], "counts": rle["counts"].decode()},
    }
    folder.content["annotations"].append(crowd | ({} if kind == "box" else {"segmentation": forms[kind]}))
    records = load(folder)
    assert len(records.boxes) == 4
    np.testing.assert_array_equal(records.crowd_mask(0), expected)
    assert records.crowd_mask(1) is None


def test_crowd_regions_of_an_image_are_united(coco_folder):
    folder = coco_folder()
    for ann_id, bbox in ((98, (0, 0, 10, 10)), (99, (30, 20, 10, 10))):
        folder.content["annotations"].append(folder.person(ann_id, 1, bbox=bbox, iscrowd=1))
    mask = load(folder).crowd_mask(0)
    assert mask.sum() == 200 and mask[5, 5] and mask[25, 35]


def test_categories_of_any_id_in_the_order_of_the_config(coco_folder):
    folder = coco_folder()
    names = folder.content["categories"][0]["keypoints"]
    folder.content["categories"] = [
        {"id": 77, "name": "dog", "keypoints": names},
        {"id": 5, "name": "person", "keypoints": names},
    ]
    for annotation, category in zip(folder.content["annotations"], (5, 77, 5, 77)):
        annotation["category_id"] = category
    assert load(folder, classes=("person", "dog")).labels.tolist() == [0, 1, 0, 1]
    records = load(folder, classes=None)
    assert records.classes == ("dog", "person") and records.labels.tolist() == [1, 0, 1, 0]
    ignoring = load(folder, classes=("person",), other_categories="ignore")
    assert ignoring.ann_ids.tolist() == [10, 30] and ignoring.counts["annotations of other categories ignored"] == 2


def test_other_number_of_keypoints(coco_folder):
    assert load(coco_folder(num_keypoints=5), num_keypoints=5).keypoints.shape == (4, 5, 2)


def test_boxes_alone(coco_folder):
    folder = coco_folder()
    for annotation in folder.content["annotations"]:
        del annotation["keypoints"]
    assert load(folder, num_keypoints=0).keypoints.shape == (4, 0, 2)


def spoil(folder, kind):
    """Make one thing wrong in a folder of four images; returns what the message must hold."""
    content = folder.content
    first, images = content["annotations"][0], content["images"]
    changes = {
        "short keypoints": lambda: first.update(keypoints=first["keypoints"][:48]),
        "string keypoint": lambda: first["keypoints"].__setitem__(4, "12"),
        "nan keypoint": lambda: first["keypoints"].__setitem__(4, float("nan")),
        "visibility": lambda: first["keypoints"].__setitem__(2, 3),
        "box beyond": lambda: first.update(bbox=[50, 6, 24, 30]),
        "nan box": lambda: first.update(bbox=[float("nan"), 6, 24, 30]),
        "string box": lambda: first.update(bbox=["8", "6", "24", "30"]),
        "short box": lambda: first.update(bbox=[8, 6, 24]),
        "no box": lambda: first.pop("bbox"),
        "negative box": lambda: first.update(bbox=[30, 6, -10, 30]),
        "nan area": lambda: first.update(area=float("inf")),
        "string area": lambda: first.update(area="12"),
        "negative area": lambda: first.update(area=-3),
        "twice the same id": lambda: content["annotations"][1].update(id=10),
        "string id": lambda: first.update(id="10"),
        "string image_id": lambda: first.update(image_id="1"),
        "huge id": lambda: first.update(id=2**64),
        "unknown image": lambda: first.update(image_id=123),
        "unknown category": lambda: first.update(category_id=42),
        "crowd flag": lambda: first.update(iscrowd=2),
        "crowd size": lambda: first.update(iscrowd=1, segmentation={"size": [3, 4], "counts": [12]}),
        "crowd counts": lambda: first.update(iscrowd=1, segmentation={"size": [48, 64], "counts": [5, 6]}),
        "crowd polygon": lambda: first.update(iscrowd=1, segmentation=[[1, 2, 3]]),
        "image twice": lambda: images.append(dict(images[0])),
        "image size": lambda: images[0].update(width=0),
        "string size": lambda: images[0].update(width="64"),
        "no file name": lambda: images[0].pop("file_name"),
        "missing file": lambda: (folder.root / "images" / "1.png").unlink(),
    }
    changes[kind]()


BAD = {
    "short keypoints": "annotation 10 (image 1): 16 keypoints, the skeleton has 17",
    "string keypoint": "annotation 10 (image 1): keypoint list holds '12', not a number",
    "nan keypoint": "annotation 10 (image 1): keypoint list holds NaN or infinity",
    "visibility": "annotation 10 (image 1): keypoint visibility is 3, not 0, 1 or 2",
    "box beyond": "annotation 10 (image 1): bbox [50.0, 6.0, 24.0, 30.0] reaches 10.0 px beyond the 64x48 image",
    "nan box": "annotation 10 (image 1): bbox holds NaN or infinity",
    "string box": "annotation 10 (image 1): bbox holds '8', not a number",
    "short box": "annotation 10 (image 1): bbox has 3 numbers, expected 4",
    "no box": "annotation 10 (image 1): bbox is missing",
    "negative box": "annotation 10 (image 1): bbox [30.0, 6.0, -10.0, 30.0] has a negative side",
    "nan area": "annotation 10 (image 1): area holds NaN or infinity",
    "string area": "annotation 10 (image 1): area holds '12', not a number",
    "negative area": "annotation 10 (image 1): area -3 is negative",
    "twice the same id": "annotation 10 (image 2): annotation id is used twice",
    "string id": "annotation at position 0: id is '10', not an integer",
    "string image_id": "annotation 10: image_id is '1', not an integer",
    "huge id": "annotation at position 0: id is 18446744073709551616, beyond 64 bits",
    "unknown image": "annotation 10 (image 123): image 123 is not in the image list",
    "unknown category": "annotation 10 (image 1): unknown category id 42",
    "crowd flag": "annotation 10 (image 1): iscrowd is 2, not 0 or 1",
    "crowd size": "annotation 10 (image 1): RLE size [3, 4] is not the image's [48, 64]",
    "crowd counts": "annotation 10 (image 1): RLE covers 11 pixels, the image has 3072",
    "crowd polygon": "annotation 10 (image 1): polygon is not a list of at least 3 points",
    "image twice": "image 1: image id is used 2 times",
    "image size": "image 1: width and height [0, 48] are not whole positive numbers",
    "string size": "image 1: width and height ['64', 48]: holds '64', not a number",
    "no file name": "image 1: file_name is None, not a name",
    "missing file": "image 1: image file not found: ",
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_data_raises_one_line_with_file_and_id(coco_folder, kind):
    folder = coco_folder()
    spoil(folder, kind)
    with pytest.raises(DataError) as error:
        load(folder)
    text = str(error.value)
    assert BAD[kind] in text and "\n" not in text and text.startswith(str(folder.root / "annotations.json"))
    assert error.value.exit_code == 1


@pytest.mark.parametrize("kind", BAD)
def test_bad_data_can_be_skipped_and_counted(coco_folder, kind):
    folder = coco_folder()
    spoil(folder, kind)
    records = load(folder, on_error="skip")
    touches_no_image = kind in ("unknown image", "string image_id")
    assert len(records) == (4 if touches_no_image else 3)
    assert records.counts["images skipped"] == 4 - len(records)
    assert sum(n for what, n in records.counts.items() if what.endswith("problem")) == 1


def test_all_problems_are_listed(coco_folder):
    folder = coco_folder()
    first, second, third, fourth = folder.content["annotations"]
    first["keypoints"] = first["keypoints"][:-1]
    second["bbox"] = [0, 0, 500, 10]
    third["category_id"] = 9
    (folder.root / "images" / "4.png").write_bytes(b"no image")
    problems = find_problems(folder.save(), ReadOptions(image_root=folder.root / "images"), decode_images=True)
    assert [(p.kind, p.image_id, p.ann_id) for p in problems] == [
        ("category", 3, 30), ("box", 2, 20), ("keypoints", 1, 10), ("image", 4, None),
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"and 2 more problems; yolox-pose dataset check"):
        load(folder)


def test_no_problems(coco_folder):
    folder = coco_folder()
    assert find_problems(folder.save(), ReadOptions(image_root=folder.root / "images"), decode_images=True) == []


WHOLE_FILE = {
    "empty annotations": (lambda c: c.update(annotations=[]), "the annotation list is empty"),
    "empty images": (lambda c: c.update(images=[]), "the image list is empty"),
    "no categories": (lambda c: c.update(categories=[]), "the category list is empty"),
    "no images": (lambda c: c.pop("images"), "not a COCO annotation file: 'images' is missing"),
    "images no list": (lambda c: c.update(images={"a": 1}), "'images' is not a list of objects"),
    "class missing": (lambda c: c["categories"][0].update(name="dog"), "class 'person' is not among the file's categories"),
    "two categories": (
        lambda c: (c["categories"].append({"id": 2, "name": "dog"}), c["annotations"][0].update(category_id=2)),
        "category 'dog' (id 2, 1 annotations) is not among the config's classes ['person']",
    ),
    "category twice": (lambda c: c["categories"].append({"id": 1, "name": "dog"}), "used twice"),
    "category id": (lambda c: c["categories"][0].update(id="1"), "category at position 0: id is '1', not an integer"),
    "no keypoints": (
        lambda c: (c["categories"][0].pop("keypoints"), [a.pop("keypoints") for a in c["annotations"]]),
        "category 'person' (id 1) has no keypoints, the skeleton has 17",
    ),
    "other skeleton": (
        lambda c: c["categories"][0]["keypoints"].pop(),
        "category 'person' (id 1) has 16 keypoints, the skeleton has 17",
    ),
    "image id": (lambda c: c["images"][0].update(id="a"), "image at position 0 ('1.png'): id is 'a', not an integer"),
}  # fmt: skip


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize("kind", WHOLE_FILE)
def test_wrong_files_raise_in_either_mode(coco_folder, kind, on_error):
    folder = coco_folder()
    change, message = WHOLE_FILE[kind]
    change(folder.content)
    with pytest.raises(DataError) as error:
        load(folder, on_error=on_error)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert str(folder.root / "annotations.json") in str(error.value)
    problems = find_problems(folder.save(), ReadOptions(image_root=folder.root / "images"))
    assert any(message in str(problem) for problem in problems)


def test_unreadable_files(tmp_path):
    with pytest.raises(DataError, match="annotation file not found: .*nothing.json"):
        load_records(tmp_path / "nothing.json")
    (tmp_path / "broken.json").write_text('{"images": [')
    with pytest.raises(DataError, match="not valid JSON: .*broken.json"):
        load_records(tmp_path / "broken.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(DataError, match="list.json: not a COCO annotation file: holds a list"):
        load_records(tmp_path / "list.json")
    assert [problem.kind for problem in find_problems(tmp_path / "list.json")] == ["file"]


def test_every_image_bad_is_an_error_also_when_skipping(coco_folder):
    folder = coco_folder(num_images=1)
    spoil(folder, "nan box")
    with pytest.raises(DataError, match="every image has a problem"):
        load(folder, on_error="skip")


def test_empty_annotations_allowed_for_testing(coco_folder):
    folder = coco_folder()
    del folder.content["annotations"]
    records = load(folder, require_annotations=False)
    assert len(records) == 4 and records.boxes.shape == (0, 4) and records.keypoints.shape == (0, 17, 2)


def test_unstated_sizes_are_read_from_the_images(coco_folder):
    folder = coco_folder()
    for image in folder.content["images"]:
        del image["width"], image["height"]
    assert load(folder).sizes.tolist() == [[64, 48]] * 4
    with pytest.raises(DataError, match="width and height .*is missing|holds None"):
        load_records(folder.save())


def test_wrong_options():
    with pytest.raises(ValueError, match="on_error"):
        load_records("x.json", on_error="ignore")
    with pytest.raises(ValueError, match="other_categories"):
        ReadOptions(other_categories="drop")


def test_packed_bytes():
    packed = PackedBytes([b"one", b"", b"three"])
    assert [packed[i] for i in range(len(packed))] == [b"one", b"", b"three"]
    assert [packed.select([2, 0])[i] for i in range(2)] == [b"three", b"one"]
    assert len(PackedBytes([])) == 0


REAL = {
    "coco_persons/annotations/train.json": ("coco_persons/images", 17, 2122, 8517, 178),
    "coco_persons/annotations/val.json": ("coco_persons/images", 17, 285, 1154, 26),
    "coco_mini/annotations/person_keypoints_train2017.json": ("coco_mini/train2017", 17, 343, 671, 15),
    "coco_ci32/annotations/person_keypoints_train2017.json": ("coco_ci32/train2017", 17, 16, 132, 6),
    "coco_ci32/annotations/person_keypoints_val2017.json": ("coco_ci32/val2017", 17, 16, 89, 4),
    "mmpose_samples/coco/test_coco.json": ("mmpose_samples/coco", 17, 4, 14, 0),
    "mmpose_samples/crowdpose/test_crowdpose.json": ("mmpose_samples/crowdpose", 14, 2, 5, 0),
    "mmpose_samples/aic/test_aic.json": ("mmpose_samples/aic", 14, 3, 9, 0),
    "mmpose_samples/ochuman/test_ochuman.json": ("mmpose_samples/ochuman", 17, 3, 5, 0),
}


@pytest.mark.parametrize("file", REAL)
def test_reads_real_files(shared_data, file):
    images, num_keypoints, num_images, num_people, num_crowds = REAL[file]
    records = load_records(
        shared_data / file, ReadOptions(image_root=shared_data / images, num_keypoints=num_keypoints)
    )
    raw = json.loads((shared_data / file).read_text())
    assert len(records) == len(raw["images"]) == num_images
    assert len(records.boxes) == num_people
    assert num_people + num_crowds == len(raw["annotations"])
    assert (records.areas > 0).all() and np.isfinite(records.keypoints).all()
    assert (records.boxes >= 0).all()


def test_reads_instances_with_all_their_classes(shared_data):
    records = load_records(
        shared_data / "coco_mini/annotations/instances_train2017.json",
        ReadOptions(num_keypoints=0, classes=None, image_root=shared_data / "coco_mini/train2017"),
    )  # fmt: skip
    assert len(records.classes) == 80 and len(records.boxes) == 2945


def test_names_what_is_wrong_in_real_files(shared_data):
    folder = shared_data / "mmpose_samples"
    problems = find_problems(folder / "posetrack18/annotations/test_posetrack18_val.json")
    assert [problem.kind for problem in problems] == ["box", "box"] and "54.6 px" in problems[0].message
    problems = find_problems(folder / "mpii/test_mpii_trb.json", ReadOptions(num_keypoints=40))
    assert [problem.message for problem in problems] == ["bbox is missing"] * 5
    assert "holds a list" in find_problems(folder / "mpii/test_mpii.json")[0].message
