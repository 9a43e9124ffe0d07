"""Load COCO-format annotation files for training, one or two of the same images, and list their problems."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from yolox_pose.coco.image_files import undecodable_images
from yolox_pose.coco.merge import BY_BOX, BY_ID, contradictions, merge_keypoints
from yolox_pose.coco.problems import Problem, first_problem
from yolox_pose.coco.reader import CocoFile, read_coco_file
from yolox_pose.coco.record_builder import build_records
from yolox_pose.coco.records import PoseRecords, ReadOptions
from yolox_pose.errors import DataError
from yolox_pose.utils.text import counted

logger = logging.getLogger(__name__)


def load_records(ann_file: str | Path, options: ReadOptions = ReadOptions(), *, on_error: str = "raise") -> PoseRecords:
    """Read a COCO-format annotation file.

    Args:
        ann_file: Path of the JSON file.
        options: Part of the file that is read, and the checks that are made.
        on_error: ``'raise'`` stops at the first problem. ``'skip'`` leaves out the images that have a problem (a wrong
            label next to right ones would train as background), counts them in ``counts`` and logs the sums.

    Raises:
        DataError: If the file cannot be read or, with ``on_error='raise'``, anything in it is wrong.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', not {on_error!r}")
    records, problems = parse_records(ann_file, options)
    fatal = [problem for problem in problems if problem.concerns_file]
    if records is None or (problems and (on_error == "raise" or fatal)):
        ordered = fatal + [problem for problem in problems if not problem.concerns_file]
        raise first_problem(ordered)
    if problems:
        records = _without_problems(records, problems)
        logger.warning("%s: %s", ann_file, summarize_counts(records.counts))
    elif records.counts:
        logger.info("%s: %s", ann_file, summarize_counts(records.counts))
    return records


def find_problems(
    ann_file: str | Path, options: ReadOptions = ReadOptions(), *, decode_images: bool = False
) -> list[Problem]:
    """Return all problems of an annotation file.

    Args:
        ann_file: Path of the JSON file.
        options: Part of the file that is read, and the checks that are made.
        decode_images: Whether every image is decoded too, to find those that are damaged or of another size.

    Returns:
        The problems. A file that cannot be read at all gives one problem of kind ``file``.
    """
    try:
        records, problems = parse_records(ann_file, options)
    except DataError as error:
        return [unreadable_file(ann_file, error)]
    if decode_images and records is not None and options.image_root is not None:
        problems += undecodable_images(str(ann_file), records, options.image_root, problems)
    return problems


def unreadable_file(ann_file: str | Path, error: DataError) -> Problem:
    """Return the error of a file that cannot be read as a problem."""
    return Problem(str(ann_file), "file", str(error).removeprefix(f"{ann_file}: "))


def parse_records(ann_file: str | Path, options: ReadOptions) -> tuple[PoseRecords | None, list[Problem]]:
    """Read an annotation file, and merge the keypoints of ``options.keypoint_file`` into it if there is one.

    Returns:
        The records without the wrong annotations (None where images or categories cannot be used) and the problems,
        each of which names its file.

    Raises:
        DataError: If a file is missing, is no JSON, or is not a COCO-format dict of lists.
    """
    file = read_coco_file(ann_file, require_annotations=options.require_annotations)
    if options.keypoint_file is None:
        return build_records(file, options), file.problems
    keypoint_file = read_coco_file(options.keypoint_file, require_annotations=options.require_annotations)
    return build_merged_records(file, keypoint_file, options)


def build_merged_records(
    file: CocoFile, keypoint_file: CocoFile, options: ReadOptions
) -> tuple[PoseRecords | None, list[Problem]]:
    """Build the records of one file with the keypoints that another file of the same images has for them.

    Returns:
        As :func:`parse_records`.
    """
    # Build the records of each file
    instances = build_records(file, replace(options, num_keypoints=0, keypoint_classes=None, keypoint_file=None))
    people = build_records(
        keypoint_file,
        replace(options, classes=options.keypoint_classes, other_categories="ignore", keypoint_classes=None),
    )
    problems = list(file.problems)
    problems += [problem for problem in keypoint_file.problems if problem.kind != "missing_file"]  # named by the first
    if instances is None or people is None:
        return None, problems

    # Merge them, unless they are of other data
    problems += contradictions(instances, people, file.name, keypoint_file.name)
    merged = merge_keypoints(instances, people, iou_threshold=options.merge_iou)
    if len(people.boxes) and not merged.counts[BY_ID] + merged.counts[BY_BOX]:
        message = (
            f"none of its {len(people.boxes)} annotations is of an object in {file.name}; are the images the same?"
        )
        problems.append(Problem(keypoint_file.name, "file", message))
    return merged, problems


def _without_problems(records: PoseRecords, problems: Sequence[Problem]) -> PoseRecords:
    """Leave out the images that a problem names, and count both."""
    bad_images = {problem.image_id for problem in problems if problem.image_id is not None}
    kept = [i for i, image_id in enumerate(records.image_ids.tolist()) if image_id not in bad_images]
    if not kept:
        raise DataError(f"{problems[0].file}: every image has a problem, nothing is left to use; first: {problems[0]}")
    counts = records.counts + Counter(f"{problem.kind} problem" for problem in problems)
    counts["images skipped"] = len(records) - len(kept)
    return replace(records.select(kept), counts=counts)


def summarize_counts(counts: Counter[str]) -> str:
    """Return one line such as ``2 boxes clipped, 1 image skipped``."""
    return ", ".join(counted(number, event) for event, number in sorted(counts.items()) if number)
