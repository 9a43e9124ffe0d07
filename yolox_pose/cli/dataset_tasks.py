"""The work behind ``tools/dataset.py``: one function per subcommand, each takes the parsed options."""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from yolox_pose.cli.common import check_file
from yolox_pose.errors import DataError, UsageError
from yolox_pose.structures.skeleton import COCO_PERSON, Skeleton
from yolox_pose.utils.progress import track

CROWD_TINT = np.array([60, 60, 230])
"""BGR colour laid over crowd regions."""


def synthesize(args: argparse.Namespace) -> int:
    """Make a synthetic data set."""
    from dataclasses import fields

    from yolox_pose.synthetic.dataset import synthesize_crowd
    from yolox_pose.synthetic.options import CrowdOptions

    values = {field.name: getattr(args, field.name) for field in fields(CrowdOptions)}
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items() if v is not None}
    options = CrowdOptions(**given)
    made = synthesize_crowd(
        args.out,
        options,
        train=args.train,
        val=args.val,
        seed=args.seed,
        workers=args.workers,
        frames=args.frames,
        fps=args.fps,
    )
    print(f"{made.out_dir}: {'these data were there already; kept' if made.kept else 'written'}")
    for split, figures in made.statistics.items():
        print(f"{split}:")
        for name, value in figures.items():
            print(f"  {name.replace('_', ' '):<40}{value:>8,g}")
    return 0


class Source(NamedTuple):
    """An annotation file as far as it could be read."""

    records: Any  # PoseRecords, or None
    problems: list  # of records.Problem
    keypoint_names: tuple[str, ...]
    skeleton: Skeleton | None  # None where there are no keypoints
    crowd_regions: int


def read_source(args: argparse.Namespace, *, require_annotations: bool = False) -> Source:
    """Read the annotation file that the options name.

    Raises:
        UsageError: If the file or the image folder does not exist.
        DataError: If the file, or that of the keypoints, is no COCO file at all.
    """
    from yolox_pose.coco.annotations import parse_records
    from yolox_pose.coco.reader import read_coco_json
    from yolox_pose.coco.records import read_options

    path = check_file(args.annotations, "annotation file")
    if args.images is not None and not args.images.is_dir():
        raise UsageError(f"--images {args.images} is not a folder")
    content = read_coco_json(path)
    classes = tuple(args.classes) if args.classes else None
    crowds = sum(annotation.get("iscrowd") in (1, True) for annotation in content["annotations"])
    if args.keypoint_file is not None:
        content = read_coco_json(check_file(args.keypoint_file, "keypoint file"))
    names, skeleton = keypoints_of(content, tuple(args.keypoint_classes or ()) or classes, args.keypoints)
    if args.keypoint_file is not None and not names:
        raise UsageError(f"--keypoint-file {args.keypoint_file} has no keypoints")
    del content
    options = read_options(
        num_keypoints=len(names),
        classes=classes,
        image_root=args.images,
        other_categories="ignore",
        require_annotations=require_annotations,
        keypoint_classes=args.keypoint_classes,
        keypoint_file=args.keypoint_file,
    )
    records, problems = parse_records(path, options)
    return Source(records, problems, names, skeleton, crowds)


def keypoints_of(
    content: dict[str, list], classes: tuple[str, ...] | None, number: int | None
) -> tuple[tuple[str, ...], Skeleton | None]:
    """Names and skeleton of the keypoints that a file's categories state, or of ``number`` keypoints."""
    stated: tuple[tuple[str, ...], list] = ((), [])
    for category in content["categories"]:
        wanted = classes is None or category.get("name") in classes
        if wanted and isinstance(category.get("keypoints"), list) and category["keypoints"]:
            links = category.get("skeleton")
            stated = tuple(str(name) for name in category["keypoints"]), links if isinstance(links, list) else []
            break
    names, links = stated
    if number is None:
        lists = (a["keypoints"] for a in content["annotations"] if isinstance(a.get("keypoints"), list))
        number = len(names) or max((len(values) // 3 for values in lists), default=0)
    if number == len(COCO_PERSON.names) and names in ((), COCO_PERSON.names):
        return COCO_PERSON.names, COCO_PERSON
    if number != len(names):
        names, links = tuple(f"keypoint {k}" for k in range(number)), []
    try:
        skeleton = Skeleton(names, links=tuple((int(a) - 1, int(b) - 1) for a, b in links))
    except (ValueError, TypeError):  # links to nowhere: points alone
        skeleton = Skeleton(names)
    return names, skeleton if number else None


def check(args: argparse.Namespace) -> int:
    """List all problems; returns 1 if there are any."""
    from yolox_pose.coco.annotations import summary
    from yolox_pose.coco.records import Problem

    if args.decode and args.images is None:
        raise UsageError("--decode needs --images, the folder of the images")
    try:
        source = read_source(args, require_annotations=True)
    except DataError as error:
        source = Source(
            None,
            [Problem(str(args.annotations), "file", str(error).removeprefix(f"{args.annotations}: "))],
            (),
            None,
            0,
        )
    problems = list(source.problems)
    if args.decode and source.records is not None:
        problems += image_problems(args, source)
    if args.json:
        print(json.dumps([problem._asdict() for problem in problems], indent=2))
        return int(bool(problems))
    for problem in problems:
        print(problem)
    if source.records is not None and source.records.counts:
        print(f"{args.annotations}: accepted: {summary(source.records.counts)}")
    images, instances = (0, 0) if source.records is None else (len(source.records), len(source.records.boxes))
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(Counter(p.kind for p in problems).items()))
    looked = "images decoded" if args.decode else "image files exist" if args.images else "image files not looked at"
    verdict = f"{len(problems)} problem{'s' * (len(problems) != 1)} ({kinds})" if problems else f"no problems; {looked}"
    print(
        f"{args.annotations}: {images} images, {instances} usable instances, {len(source.keypoint_names)} keypoints: {verdict}"
    )
    return int(bool(problems))


def image_problems(args: argparse.Namespace, source: Source) -> list:
    """Decode all images that exist; report those that are damaged or of another size than stated."""
    from yolox_pose.coco.records import Problem
    from yolox_pose.errors import ImageError
    from yolox_pose.geometry.images import read_image

    records = source.records
    known = {problem.image_id for problem in source.problems if problem.kind in ("missing_file", "image")}

    def look(index: int) -> Problem | None:
        image_id = int(records.image_ids[index])
        path = os.path.join(args.images, records.file_name(index))
        try:
            read_image(path, apply_exif=False, size=tuple(records.sizes[index].tolist()))
        except ImageError as error:
            return Problem(str(args.annotations), "image", str(error), image_id)
        return None

    todo = [index for index in range(len(records)) if int(records.image_ids[index]) not in known]
    with ThreadPoolExecutor(max(args.workers, 1)) as pool:
        results = track(pool.map(look, todo), "decoding images", total=len(todo), enabled=len(todo) > 0)
        return [problem for problem in results if problem is not None]


def stats(args: argparse.Namespace) -> int:
    """Print statistics."""
    from yolox_pose.coco.statistics import dataset_statistics, statistics_table

    source = readable_source(args)
    figures = dataset_statistics(source.records, source.keypoint_names, source.crowd_regions)
    figures = {"file": str(args.annotations), "problems": len(source.problems), **figures}
    if args.json:
        print(json.dumps(figures, indent=2))
        return 0
    print(statistics_table(figures))
    if source.problems:
        print(f"note: {len(source.problems)} problems, not counted above; run: dataset.py check {args.annotations}")
    return 0


def readable_source(args: argparse.Namespace) -> Source:
    """Like :func:`read_source`, but the records must be there.

    Raises:
        DataError: With the first problem, where the problems leave no records.
    """
    source = read_source(args)
    if source.records is None:
        raise DataError(f"{source.problems[0]} ({len(source.problems)} problems; dataset.py check lists all)")
    return source


def new_folder(path: Path) -> Path:
    """Make a folder that is empty.

    Raises:
        UsageError: If something is there already.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} exists already and is not an empty folder; give another name")
    path.mkdir(parents=True, exist_ok=True)
    return path


class Picture(NamedTuple):
    """An image with ground truth to draw."""

    name: str
    img: np.ndarray  # (H, W, 3) uint8 BGR
    boxes: np.ndarray  # (G, 4)
    labels: np.ndarray  # (G,)
    keypoints: np.ndarray  # (G, K, 2)
    visible: np.ndarray  # (G, K)
    crowd: np.ndarray | None  # (H, W) bool


def browse(args: argparse.Namespace) -> int:
    """Draw annotations, or augmented samples."""
    if (args.annotations is None) == (args.augmented is None):
        raise UsageError("browse: give either an annotation file with --images, or --augmented CONFIG")
    if args.number < 1 or args.zoom <= 0:
        raise UsageError("browse: --number must be at least 1 and --zoom above 0")
    pictures, count, skeleton, classes = _augmented(args) if args.augmented else _annotated(args)
    out = new_folder(args.out)
    for picture in track(pictures, "drawing", total=count):
        write_image(out / picture.name, draw_picture(picture, skeleton, classes, args.zoom))
    print(f"{count} pictures in {out}")
    return 0


def choose(args: argparse.Namespace, image_ids: np.ndarray) -> list[int]:
    """Indices of the images to draw.

    Raises:
        UsageError: If an id that was asked for is not there.
    """
    if args.ids:
        index_of = {image_id: i for i, image_id in enumerate(image_ids.tolist())}
        missing = [image_id for image_id in args.ids if image_id not in index_of]
        if missing:
            raise UsageError(f"--ids: image {missing[0]} is not in the annotation file")
        return [index_of[image_id] for image_id in args.ids]
    rng = np.random.default_rng(args.seed)
    return sorted(rng.permutation(len(image_ids))[: args.number].tolist())


def _annotated(args: argparse.Namespace) -> tuple[Iterator[Picture], int, Skeleton | None, tuple[str, ...]]:
    """Pictures of an annotation file."""
    from yolox_pose.geometry.images import read_image

    if args.images is None:
        raise UsageError("browse: --images is needed, the folder of the images")
    source = readable_source(args)
    records = source.records
    chosen = choose(args, records.image_ids)

    def picture(index: int) -> Picture:
        image_id, rows = int(records.image_ids[index]), records.rows(index)
        img = read_image(args.images / records.file_name(index), apply_exif=False, image_id=image_id)
        crowd = records.crowd_mask(index)
        labels = records.boxes[rows], records.labels[rows], records.keypoints[rows], records.visible[rows]
        return Picture(f"{image_id:012d}.jpg", img, *labels, None if crowd is None else crowd.astype(bool))

    return map(picture, chosen), len(chosen), source.skeleton, records.classes


def _augmented(args: argparse.Namespace) -> tuple[Iterator[Picture], int, Skeleton | None, tuple[str, ...]]:
    """Pictures as the training pipeline of a config makes them."""
    from yolox_pose.config import load_config

    config = load_config(args.augmented, args.cfg_options)
    from yolox_pose.datasets import SampleKey
    from yolox_pose.registry import DATASETS

    if config.get("train_dataloader") is None:
        raise UsageError(f"{args.augmented} has no train_dataloader")
    dataset = DATASETS.build(config.train_dataloader.dataset)
    dataset.final_epoch = 0 if args.final else None
    chosen = choose(args, dataset.records.image_ids)

    def picture(index: int) -> Picture:
        sample = dataset[SampleKey(0, index)]
        truth, fields = sample["data_samples"].gt_instance_labels, sample["data_samples"].get("gt_fields")
        img = np.ascontiguousarray(sample["inputs"].numpy().transpose(1, 2, 0))
        arrays = (truth[key].numpy() for key in ("bboxes", "labels", "keypoints", "keypoints_visible"))
        crowd = None if fields is None else fields.ignore_mask[0].numpy().astype(bool)
        return Picture(f"{int(dataset.records.image_ids[index]):012d}.jpg", img, *arrays, crowd)

    return map(picture, chosen), len(chosen), dataset.skeleton, dataset.classes


def draw_picture(picture: Picture, skeleton: Skeleton | None, classes: tuple[str, ...], zoom: float) -> np.ndarray:
    """Draw boxes, skeletons (hidden keypoints hollow) and crowd regions (tinted)."""
    from yolox_pose.visualization.drawing import draw_poses

    img = picture.img
    if picture.crowd is not None:
        img = np.where(picture.crowd[..., None], (0.6 * img + 0.4 * CROWD_TINT).astype(np.uint8), img)
    return draw_poses(
        img,
        keypoints=picture.keypoints,
        keypoint_scores=None,
        boxes=picture.boxes,
        scores=None,
        skeleton=skeleton,
        labels=picture.labels if len(classes) > 1 else None,
        classes=classes,
        keypoints_visible=picture.visible,
        zoom=zoom,
    )


def write_image(path: Path, img: np.ndarray) -> None:
    """Write an image as the suffix says."""
    ok, data = cv2.imencode(path.suffix, img)
    if not ok:
        raise DataError(f"{path}: OpenCV cannot encode this image")
    path.write_bytes(data.tobytes())


def convert(args: argparse.Namespace) -> int:
    """Convert COCO to YOLO-pose labels or back."""
    if not args.source.exists():
        raise UsageError(f"{args.source} does not exist")
    if args.out.exists() and not (args.out.is_dir() and not any(args.out.iterdir())):
        raise UsageError(f"{args.out} exists already; give another name")
    return _labels_from_coco(args) if args.source.suffix == ".json" else _coco_from_labels(args)


def _labels_from_coco(args: argparse.Namespace) -> int:
    from yolox_pose.coco.yolo_labels import folder_from_records

    args.annotations = args.source
    source = readable_source(args)
    if source.problems:
        raise DataError(f"{source.problems[0]} ({len(source.problems)} problems; dataset.py check lists all)")
    files, lines = folder_from_records(source.records, new_folder(args.out), partial(track, description="label files"))
    left_out = f", {source.crowd_regions} crowd regions left out" if source.crowd_regions else ""
    print(f"{args.out}: {files} label files with {lines} instances of {len(source.keypoint_names)} keypoints{left_out}")
    return 0


def _coco_from_labels(args: argparse.Namespace) -> int:
    from yolox_pose.coco.yolo_labels import coco_from_folder, coco_from_list

    if args.out.suffix != ".json":
        raise UsageError(f"{args.out}: labels are converted to a .json file")
    number = len(COCO_PERSON.names) if args.keypoints is None else args.keypoints
    names = COCO_PERSON.names if number == len(COCO_PERSON.names) else tuple(f"keypoint_{k}" for k in range(number))
    progress: Callable = partial(track, description="converting")
    if args.source.is_dir():
        if args.images is None or not args.images.is_dir():
            raise UsageError("convert: --images must name the folder of the images, from which their sizes are read")
        dataset = coco_from_folder(args.source, args.images, args.classes or ["person"], names, progress)
    else:
        if (args.images is None) == (args.size is None):
            raise UsageError("convert: give either --images, from which sizes are read, or --size W H")
        size = None if args.size is None else (args.size[0], args.size[1])
        dataset = coco_from_list(args.source, names, images=args.images, size=size, progress=progress)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    scratch = args.out.with_name(f".{args.out.name}.part")
    scratch.write_text(json.dumps(dataset))
    scratch.replace(args.out)
    print(f"{args.out}: {len(dataset['images'])} images, {len(dataset['annotations'])} instances")
    return 0
