"""Inspect an annotation file for the data commands: find its skeleton, its usable annotations and all problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from yolox_pose.coco.image_files import undecodable_images
from yolox_pose.coco.loading import build_merged_records, summarize_counts, unreadable_file
from yolox_pose.coco.problems import Problem, first_problem
from yolox_pose.coco.reader import CocoFile, read_coco_file
from yolox_pose.coco.record_builder import build_records
from yolox_pose.coco.records import PoseRecords, ReadOptions
from yolox_pose.errors import DataError, UsageError
from yolox_pose.structures.skeleton import COCO_PERSON, Skeleton
from yolox_pose.utils.text import counted


class Inspection(NamedTuple):
    """An annotation file as far as it could be read.

    Attributes:
        name: The file.
        records: Its usable annotations; None where there are none to build.
        problems: All problems of the file.
        skeleton: Its keypoints; None for boxes alone.
        crowd_regions: Number of ``iscrowd`` annotations.
    """

    name: str
    records: PoseRecords | None
    problems: list[Problem]
    skeleton: Skeleton | None = None
    crowd_regions: int = 0

    @property
    def keypoint_names(self) -> tuple[str, ...]:
        """The K keypoint names."""
        return () if self.skeleton is None else self.skeleton.names

    def require_records(self, *, without_problems: bool = False) -> PoseRecords:
        """Return the records.

        Args:
            without_problems: Whether a file with any problem is refused too.

        Raises:
            DataError: With the first problem.
        """
        if self.records is None or (without_problems and self.problems):
            raise first_problem(self.problems)
        return self.records


def inspect_file(
    ann_file: str | Path,
    *,
    num_keypoints: int | None = None,
    classes: Sequence[str] | None = None,
    image_root: str | Path | None = None,
    keypoint_file: str | Path | None = None,
    keypoint_classes: Sequence[str] | None = None,
    require_annotations: bool = False,
    decode_workers: int = 0,
) -> Inspection:
    """Read an annotation file without knowing its skeleton.

    Args:
        ann_file: Path of the JSON file.
        num_keypoints: K, the number of keypoints; None for the number that the file states.
        classes: Names of the classes to read; None for all.
        image_root: Folder of the images; their existence is checked unless None.
        keypoint_file: Second file of the same images, which holds the keypoints.
        keypoint_classes: Names of the classes that have keypoints; None for all.
        require_annotations: Whether a file without annotations is a problem.
        decode_workers: Number of threads that decode all images of ``image_root`` with a progress bar, to find damaged
            ones; 0 decodes none.

    Raises:
        DataError: If a file is no COCO file at all.
        UsageError: If ``keypoint_file`` has no keypoints.
    """
    # Read the files
    file = read_coco_file(ann_file, require_annotations=require_annotations)
    keypoints = None
    if keypoint_file is not None:
        keypoints = read_coco_file(keypoint_file, require_annotations=require_annotations)

    # Find the skeleton
    skeleton = stated_skeleton(keypoints or file, keypoint_classes or classes, num_keypoints)
    if keypoints is not None and skeleton is None:
        raise UsageError(f"keypoint file {keypoint_file} has no keypoints")

    # Build the records
    options = ReadOptions(
        num_keypoints=0 if skeleton is None else skeleton.num_keypoints,
        classes=classes,
        image_root=image_root,
        other_categories="ignore",
        require_annotations=require_annotations,
        keypoint_classes=keypoint_classes,
    )
    if keypoints is None:
        records, problems = build_records(file, options), file.problems
    else:
        records, problems = build_merged_records(file, keypoints, options)
    if decode_workers and records is not None and image_root is not None:
        problems += undecodable_images(file.name, records, image_root, problems, workers=decode_workers, progress=True)
    return Inspection(str(ann_file), records, problems, skeleton, int(file.annotations.is_crowd.sum()))


def unreadable(ann_file: str | Path, error: DataError) -> Inspection:
    """Return the inspection of a file that is no COCO file at all."""
    return Inspection(str(ann_file), None, [unreadable_file(ann_file, error)])


def stated_skeleton(
    file: CocoFile, classes: Sequence[str] | None = None, num_keypoints: int | None = None
) -> Skeleton | None:
    """Return the skeleton that a file's categories state.

    Args:
        file: The file.
        classes: Names of the categories to look at; None for all.
        num_keypoints: Number of keypoints; None takes it from the categories, else from the longest keypoint list.

    Returns:
        Names and links of the category, numbered names where it states others or none, and None without keypoints.
    """
    # Find the first category that names its keypoints
    names: tuple[str, ...] = ()
    links: Any = []
    for name, entry in zip(file.categories.names, file.categories.entries):
        stated = entry.get("keypoints")
        if (classes is None or name in classes) and isinstance(stated, list) and stated:
            names, links = tuple(str(keypoint) for keypoint in stated), entry.get("skeleton")
            break

    # Count the keypoints
    if num_keypoints is None:
        lists = (entry.get("keypoints") for entry in file.annotations.entries)
        num_keypoints = len(names) or max((len(v) // 3 for v in lists if isinstance(v, list)), default=0)

    # Put them together
    if not num_keypoints:
        return None
    if num_keypoints == COCO_PERSON.num_keypoints and names in ((), COCO_PERSON.names):
        return COCO_PERSON
    if num_keypoints != len(names):
        return Skeleton(tuple(f"keypoint {k}" for k in range(num_keypoints)))
    try:
        return Skeleton(names, links=tuple((int(a) - 1, int(b) - 1) for a, b in links))
    except (ValueError, TypeError):  # links that name no keypoint: draw points alone
        return Skeleton(names)


def check_report(inspection: Inspection, images_checked: str) -> str:
    """Return the problems of a file as text, a line each, with a verdict at the end.

    Args:
        inspection: The file.
        images_checked: Text that says which checks of the images were made.
    """
    records, problems = inspection.records, inspection.problems
    lines = [str(problem) for problem in problems]
    if records is not None and records.counts:
        lines.append(f"{inspection.name}: accepted: {summarize_counts(records.counts)}")
    images, instances = (0, 0) if records is None else (len(records), len(records.boxes))
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(Counter(p.kind for p in problems).items()))
    verdict = f"no problems; {images_checked}"
    if problems:
        verdict = f"{len(problems)} problem{'s' * (len(problems) != 1)} ({kinds})"
    usable = counted(instances, "usable instances")
    size = f"{counted(images, 'images')}, {usable}, {counted(len(inspection.keypoint_names), 'keypoints')}"
    return "\n".join([*lines, f"{inspection.name}: {size}: {verdict}"])
