"""Load COCO-format annotation files, one or two of the same images, and list everything that is wrong in them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from yolox_pose.coco.merge import BY_BOX, BY_ID, contradictions, merge_keypoints
from yolox_pose.coco.reader import parse_annotations
from yolox_pose.coco.records import PoseRecords, Problem, ReadOptions, read_options
from yolox_pose.errors import DataError, ImageError
from yolox_pose.geometry.images import read_image

logger = logging.getLogger(__name__)


def load_records(ann_file: str | Path, *, on_error: str = "raise", **options: Any) -> PoseRecords:
    """Read a COCO-format annotation file.

    Args:
        ann_file: Path of the JSON file.
        on_error: ``'raise'`` stops at the first problem. ``'skip'`` leaves out the images that have a problem (a wrong
            label next to right ones would train as background), counts them in ``counts`` and logs the sums.
        **options: ``num_keypoints`` (K; 0 for boxes alone), ``classes`` (names in label order; None takes all
            categories in file order), ``image_root`` (folder of the images; their existence is checked unless None),
            ``other_categories`` (``'error'`` or ``'ignore'`` annotations of categories that are not in ``classes``),
            ``box_tolerance`` (pixels by which a box may reach beyond its image), ``require_annotations``,
            ``keypoint_classes`` (names of the classes that have keypoints; None for all), ``keypoint_file`` (a second
            file of the same images that holds the keypoints of the instances in ``ann_file``), ``merge_iou`` (see
            :func:`yolox_pose.coco.merge.merge_keypoints`).

    Raises:
        DataError: If the file cannot be read or, with ``on_error='raise'``, anything in it is wrong.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', not {on_error!r}")
    records, problems = parse_records(ann_file, read_options(**options))
    fatal = [problem for problem in problems if problem.image_id is None and problem.ann_id is None]
    if records is None or problems and (on_error == "raise" or fatal):
        first, others = (fatal or problems)[0], len(problems) - 1
        more = f" (and {others} more problem{'s' * (others > 1)}; tools/dataset.py check lists all)" if others else ""
        raise DataError(f"{first}{more}")
    if problems:
        records = _without_problems(records, problems)
        logger.warning("%s: %s", ann_file, summary(records.counts))
    elif records.counts:
        logger.info("%s: %s", ann_file, summary(records.counts))
    return records


def find_problems(ann_file: str | Path, *, decode_images: bool = False, **options: Any) -> list[Problem]:
    """All problems of an annotation file, for ``tools/dataset.py check``.

    Args:
        ann_file: Path of the JSON file.
        decode_images: Also read every image and report those that are damaged or of another size than stated.
        **options: As for :func:`load_records`.

    Returns:
        The problems in file order: those of the whole file first, then images, then annotations. A file that cannot
        be read at all gives one problem of kind ``file``.
    """
    checked = read_options(**options)
    try:
        records, problems = parse_records(ann_file, checked)
    except DataError as error:
        text = str(error).removeprefix(f"{ann_file}: ")
        return [Problem(str(ann_file), "file", text)]
    if decode_images and records is not None and checked.image_root is not None:
        problems += _image_problems(str(ann_file), records, checked.image_root, problems)
    return problems


def _image_problems(file: str, records: PoseRecords, root: Path, known: Sequence[Problem]) -> list[Problem]:
    missing = {problem.image_id for problem in known if problem.kind == "missing_file"}
    problems = []
    for index in range(len(records)):
        image_id = int(records.image_ids[index])
        if image_id in missing:
            continue
        try:
            read_image(
                root / records.file_name(index),
                apply_exif=False,
                image_id=image_id,
                size=tuple(records.sizes[index].tolist()),
            )
        except ImageError as error:
            problems.append(Problem(file, "image", str(error), image_id))
    return problems


def _without_problems(records: PoseRecords, problems: Sequence[Problem]) -> PoseRecords:
    """Leave out the images that a problem names and count both."""
    bad_images = {problem.image_id for problem in problems if problem.image_id is not None}
    keep = [i for i, image_id in enumerate(records.image_ids.tolist()) if image_id not in bad_images]
    if not keep:
        raise DataError(f"{problems[0].file}: every image has a problem, nothing is left to use; first: {problems[0]}")
    counts = records.counts + Counter(f"{problem.kind} problem" for problem in problems)
    counts["images skipped"] = len(records) - len(keep)
    return replace(records.select(keep), counts=counts)


def parse_records(ann_file: str | Path, options: ReadOptions) -> tuple[PoseRecords | None, list[Problem]]:
    """Read an annotation file, and merge the keypoints of ``options.keypoint_file`` into it if there is one.

    Returns:
        As :func:`~yolox_pose.coco.reader.parse_annotations`; each problem names the file that it is in.

    Raises:
        DataError: If a file is missing, is no JSON, or is not a COCO-format dict of lists.
    """
    if options.keypoint_file is None:
        return parse_annotations(ann_file, options)
    boxes_alone = options._replace(num_keypoints=0, keypoint_classes=None)
    instances, problems = parse_annotations(ann_file, boxes_alone)
    keypoints_alone = options._replace(classes=options.keypoint_classes, other_categories="ignore")
    people, found = parse_annotations(options.keypoint_file, keypoints_alone)
    problems += [problem for problem in found if problem.kind != "missing_file"]  # the first file has named it
    if instances is None or people is None:
        return None, problems
    problems += contradictions(instances, people, str(ann_file), str(options.keypoint_file))
    merged = merge_keypoints(instances, people, iou_threshold=options.merge_iou)
    if len(people.boxes) and not merged.counts[BY_ID] + merged.counts[BY_BOX]:
        message = f"none of its {len(people.boxes)} annotations is of an object in {ann_file}; are the images the same?"
        problems.append(Problem(str(options.keypoint_file), "file", message))
    return merged, problems


def summary(counts: Counter) -> str:
    """One line such as ``2 boxes clipped, 1 images skipped``."""
    return ", ".join(f"{number} {what}" for what, number in sorted(counts.items()) if number)
