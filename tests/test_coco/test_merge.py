"""Keypoints of one file on the instances of another: by id, by box, not at all; and one file with both."""

import copy
import json

import numpy as np
import pytest

from yolox_pose.coco.loading import find_problems, load_records
from yolox_pose.coco.merge import BY_BOX, BY_ID, UNMATCHED, WITHOUT_LIST
from yolox_pose.coco.records import ReadOptions
from yolox_pose.datasets.coco import CocoPoseDataset
from yolox_pose.errors import DataError

BOXES = [(0, 0, 20, 20), (10, 0, 20, 20), (30, 20, 20, 20)]


class TwoFiles:
    """A folder with instances of a dog and of people, and a second file with the people's keypoints."""

    def __init__(self, folder):
        self.folder = folder
        images = folder.content["images"]
        categories = [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}]
        people = [folder.person(11 + i, 1, BOXES[i]) for i in range(3)]
        for i, person in enumerate(people):
            person["keypoints"][2::3] = [i % 2 + 1] * 17  # identified by their visibility codes and positions
        annotations = [{k: v for k, v in person.items() if k != "keypoints"} for person in people]
        annotations.insert(1, {**annotations[0], "id": 7, "category_id": 18})
        self.instances = {"images": images, "annotations": annotations, "categories": categories}
        self.people = {**folder.content, "images": copy.deepcopy(images), "annotations": people}

    def paths(self):
        paths = [self.folder.root / name for name in ("instances.json", "keypoints.json")]
        for path, content in zip(paths, (self.instances, self.people)):
            path.write_text(json.dumps(content))
        return paths

    def load(self, on_error="raise", **options):
        instances, keypoints = self.paths()
        options = {"classes": None, "keypoint_file": keypoints, **options}
        options = ReadOptions(image_root=self.folder.root / "images", **options)
        return load_records(instances, options, on_error=on_error)

    def problems(self, **options):
        instances, keypoints = self.paths()
        options = {"classes": None, "keypoint_file": keypoints, **options}
        return [str(problem) for problem in find_problems(instances, ReadOptions(**options))]

    def person(self, number):
        return self.people["annotations"][number]


@pytest.fixture
def files(coco_folder):
    return TwoFiles(coco_folder())


def keypoints_of(records, ann_id):
    """(K, 3) of an instance, as in a file."""
    row = records.ann_ids.tolist().index(ann_id)
    return np.concatenate([records.keypoints[row], records.visible[row][:, None]], axis=1)


def assert_has_keypoints_of(records, ann_id, annotation):
    np.testing.assert_allclose(keypoints_of(records, ann_id).ravel(), annotation["keypoints"], rtol=1e-6)


def outcome(records):
    return tuple(records.counts[key] for key in (BY_ID, BY_BOX, UNMATCHED, WITHOUT_LIST))


def test_by_annotation_id(files):
    files.people["annotations"].reverse()
    records = files.load()
    assert outcome(records) == (3, 0, 0, 0)
    assert records.classes == ("dog", "person") and records.keypoint_classes == ("person",)
    assert records.labels.tolist() == [1, 0, 1, 1] and records.ann_ids.tolist() == [11, 7, 12, 13]
    for annotation in files.people["annotations"]:
        assert_has_keypoints_of(records, annotation["id"], annotation)
    assert not keypoints_of(records, 7).any()


def test_by_box_where_ids_are_missing(files):
    files.person(1)["id"] = 99
    files.person(1)["bbox"] = [11, 1, 18, 19]
    records = files.load()
    assert outcome(records) == (2, 1, 0, 0)
    assert_has_keypoints_of(records, 12, files.person(1))


def test_ids_of_another_numbering_mean_nothing(files):
    """Ids 12 and 13 are in both files, but 12 is somebody else there: boxes that do not touch."""
    files.person(0)["id"], files.person(2)["id"], files.person(1)["id"] = 13, 12, 40
    records = files.load()
    assert outcome(records) == (0, 3, 0, 0)
    for ann_id, annotation in zip((11, 12, 13), files.people["annotations"]):
        assert_has_keypoints_of(records, ann_id, annotation)


@pytest.mark.parametrize("change", ["image", "class"])
def test_the_same_id_on_another_image_or_of_another_class(files, change):
    files.instances["annotations"][2] |= {"image_id": 2} if change == "image" else {"category_id": 18}
    records = files.load()
    assert outcome(records) == (0, 2, 1, 0 if change == "class" else 1)
    assert not keypoints_of(records, 12).any()


def test_the_best_pairs_first_and_each_once(files):
    """A: IoU 0.9 with person 0; B: the same box a little off, IoU 0.81, has to take nobody (person 1 is 0.33)."""
    a, b = files.folder.person(50, 1, (0, 0, 20, 18)), files.folder.person(51, 1, (0, 0, 18, 18))
    files.people["annotations"] = [b, a]
    records = files.load()
    assert outcome(records) == (0, 1, 1, 2)
    assert_has_keypoints_of(records, 11, a)
    assert not keypoints_of(records, 12).any()


def test_the_threshold_is_a_setting(files):
    for annotation in files.people["annotations"]:
        annotation["id"] += 100
    files.person(0)["bbox"] = [0, 0, 20, 13]  # 0.65 of its instance, 0.25 of the next one
    assert outcome(files.load()) == (0, 2, 1, 1)
    assert outcome(files.load(merge_iou=0.6)) == (0, 3, 0, 0)


def test_a_pair_at_the_threshold_is_matched(files):
    for annotation in files.people["annotations"]:
        annotation["id"] += 100
    files.person(0)["bbox"] = [0, 0, 20, 10]  # half of its instance
    assert outcome(files.load(merge_iou=0.5)) == (0, 3, 0, 0)


def test_regions_of_crowds_come_from_the_instances_and_of_any_class(files):
    crowd = {"id": 70, "image_id": 1, "category_id": 18, "bbox": [40, 0, 10, 10], "iscrowd": 1}
    files.instances["annotations"].append(crowd)
    files.people["annotations"].append(files.folder.person(71, 1, (0, 40, 5, 5), iscrowd=1))
    records = files.load()
    assert outcome(records) == (3, 0, 0, 0)
    assert records.crowd_mask(0)[5, 45] == 1 and records.crowd_mask(0)[42, 2] == 0


def test_an_image_that_is_not_in_the_keypoint_file_has_unlabeled_people(files):
    files.instances["annotations"].append({**files.instances["annotations"][0], "id": 30, "image_id": 3})
    files.people["images"] = files.people["images"][:1]
    records = files.load()
    assert outcome(records) == (3, 0, 0, 1)
    assert not keypoints_of(records, 30).any()


def test_files_that_are_of_other_data(files):
    for annotation in files.people["annotations"]:
        annotation["bbox"] = [40, 30, 2, 2]
    with pytest.raises(DataError, match=r"keypoints\.json: none of its 3 annotations is of an object in .*instances"):
        files.load()


def test_contradictions_about_an_image_name_the_file(files):
    files.people["images"][0] |= {"file_name": "train/2.png"}
    files.people["images"][1] |= {"width": 32}
    first, second = files.problems()
    assert "keypoints.json: image 1: file name is '2.png', but '1.png' in " in first
    assert "keypoints.json: image 2: size is [32, 48], but [64, 48] in " in second


def test_folders_before_file_names_do_not_matter(files):
    files.people["images"][0]["file_name"] = "val/1.png"
    assert files.problems() == []


def test_problems_name_the_file_that_they_are_in(files):
    files.person(0)["keypoints"] = [1, 2]
    files.instances["annotations"][1]["bbox"] = [0, 0, 999, 5]
    box, keypoints = files.problems()
    assert "instances.json: annotation 7 (image 1): bbox" in box
    assert (
        "keypoints.json: annotation 11 (image 1): 2 keypoint numbers, the skeleton's 17 keypoints need 51" in keypoints
    )
    with pytest.raises(DataError, match="annotation 7"):
        files.load()
    assert 1 not in files.load(on_error="skip").image_ids


def test_a_class_that_a_file_does_not_have(files):
    with pytest.raises(DataError, match=r"keypoints\.json: class 'cat' is not among"):
        files.load(keypoint_classes=["cat"])
    with pytest.raises(DataError, match="none of its 3 annotations"):
        files.load(classes=["dog"], other_categories="ignore")


def test_settings_that_contradict_each_other(files):
    for options, message in (
        ({"num_keypoints": 0}, "needs a skeleton"),
        ({"merge_iou": 0}, "merge_iou"),
        ({"keypoint_classes": "person"}, "a list of names"),
    ):
        with pytest.raises(ValueError, match=message):
            files.load(**options)
    instances, keypoints = files.paths()
    keypoints.unlink()
    with pytest.raises(DataError, match=r"annotation file not found: .*keypoints\.json"):
        load_records(instances, ReadOptions(classes=None, keypoint_file=keypoints))


def one_file(files):
    """Put the people's keypoints into the instances themselves."""
    keypoints = {a["id"]: a["keypoints"] for a in files.people["annotations"]}
    for annotation in files.instances["annotations"]:
        if annotation["id"] in keypoints:
            annotation["keypoints"] = keypoints[annotation["id"]]
    return files.instances


def test_one_file_in_which_some_classes_have_keypoints(files):
    merged = files.load()
    content = one_file(files)
    content["categories"][1]["keypoints"] = [f"point{k}" for k in range(17)]
    content["annotations"][1]["keypoints"] = ["not", "looked", "at"]
    single = files.load(keypoint_file=None, keypoint_classes=["person"])
    assert single.keypoint_classes == ("person",)
    for name in ("boxes", "labels", "keypoints", "visible", "areas", "ann_ids"):
        np.testing.assert_array_equal(getattr(single, name), getattr(merged, name))
    assert WITHOUT_LIST not in single.counts


def test_one_file_needs_the_names_of_the_classes_with_keypoints(files):
    one_file(files)
    (problem,) = files.problems(keypoint_file=None)
    assert "category 'dog' (id 18) has no keypoints" in problem and "keypoint_classes" in problem
    (problem,) = files.problems(keypoint_file=None, keypoint_classes=["cat"])
    assert "class 'cat' of keypoint_classes is not among" in problem


def test_the_data_set(files):
    files.paths()
    settings = {
        "ann_file": "instances.json",
        "data_root": str(files.folder.root),
        "data_prefix": {"img": "images"},
        "keypoint_file": "keypoints.json",
        "classes": None,
        "keypoint_classes": ["person"],
    }
    data = CocoPoseDataset(**settings)
    sample = data.get_sample(0)
    assert sample["labels"].tolist() == [1, 0, 1, 1]
    assert (sample["keypoints_visible"] > 0).any(axis=1).tolist() == [True, False, True, True]
    assert data.metainfo["keypoint_classes"] == ["person"] and data.metainfo["classes"] == ["dog", "person"]
    lazy = CocoPoseDataset(**{**settings, "keypoint_classes": None}, lazy_init=True)
    assert lazy.metainfo["keypoint_classes"] == ["person"]
    assert "keypoint_classes" not in CocoPoseDataset(**files.folder.config()).metainfo


def test_real_files_whatever_their_ids(shared_data, tmp_path):
    annotations = shared_data / "coco_mini" / "annotations"
    instances, keypoints = (annotations / f"{kind}_val2017.json" for kind in ("instances", "person_keypoints"))
    by_id = load_records(instances, ReadOptions(classes=None, keypoint_file=keypoints))
    assert by_id.counts[BY_ID] == 444 and by_id.counts[UNMATCHED] == by_id.counts[WITHOUT_LIST] == 0
    content = json.loads(keypoints.read_text())
    order = np.random.default_rng(0).permutation(len(content["annotations"]))
    content["annotations"] = [content["annotations"][i] for i in order]
    for i, annotation in enumerate(content["annotations"]):
        annotation["id"] = i + 1
    (tmp_path / "renumbered.json").write_text(json.dumps(content))
    by_box = load_records(instances, ReadOptions(classes=None, keypoint_file=tmp_path / "renumbered.json"))
    assert by_box.counts[BY_BOX] == 444 and by_box.counts[UNMATCHED] == 0
    np.testing.assert_array_equal(by_box.keypoints, by_id.keypoints)
    np.testing.assert_array_equal(by_box.visible, by_id.visible)
