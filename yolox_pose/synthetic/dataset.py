"""Data sets of synthetic crowds in COCO keypoints format.

Picture i of a split depends on the seed, the name of the split and i alone, whatever the number of pictures and workers.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from yolox_pose.errors import UsageError
from yolox_pose.structures.constants import DEFAULT_FPS
from yolox_pose.structures.skeleton import COCO_PERSON
from yolox_pose.synthetic.annotation import PERSON_CATEGORY
from yolox_pose.synthetic.options import CrowdOptions
from yolox_pose.synthetic.rendering import picture_rng, render_crowd, render_sequence
from yolox_pose.utils.progress import track

GENERATOR_VERSION = 2
"""Raised whenever the same seed would give other pictures than before."""
METADATA_NAME = "synthetic.json"
JPEG_QUALITY = 95


class Synthesis(NamedTuple):
    """Result of :func:`synthesize_crowd`.

    Attributes:
        out_dir: Folder of the data set.
        kept: True if the same data set existed already.
        statistics: Counts and shares of each split; see :func:`crowd_statistics`.
    """

    out_dir: Path
    kept: bool
    statistics: dict[str, dict[str, float]]


class _Picture(NamedTuple):
    """A written picture: its fields under ``images`` and its annotations, all without ids."""

    fields: dict[str, Any]
    annotations: list[dict[str, Any]]


def synthesize_crowd(
    out_dir: str | os.PathLike[str],
    options: CrowdOptions = CrowdOptions(),
    *,
    train: int = 800,
    val: int = 100,
    seed: int = 0,
    workers: int = 1,
    frames: int = 0,
    fps: float = DEFAULT_FPS,
    progress: bool = True,
) -> Synthesis:
    """Write a data set of synthetic crowds in COCO keypoints format.

    Creates ``out_dir/{train,val}/*.jpg``, ``out_dir/annotations/{train,val}.json`` and ``out_dir/synthetic.json``. The
    folder appears when everything is written; an interrupted run leaves nothing behind.

    Args:
        out_dir: Folder to create. If it holds the output of the same call already, nothing is written.
        options: Settings of the pictures.
        train: Number of training pictures.
        val: Number of validation pictures.
        seed: Random seed.
        workers: Number of processes; the result does not depend on it.
        frames: Number of pictures per sequence; 0 makes single pictures. With sequences, ``train`` and ``val`` count
            sequences, each has a folder, images have ``video_id`` and ``frame_id``, and annotations have ``track_id``.
        fps: Pictures per second of a sequence.
        progress: Whether to show a progress bar.

    Raises:
        UsageError: If an argument is out of range or ``out_dir`` holds something else.
    """
    # Check the arguments
    counts = {"train": int(train), "val": int(val)}
    if min(counts.values()) < 0 or not any(counts.values()):
        raise UsageError(f"synthesize: asked for {train} training and {val} validation pictures")
    if seed < 0:
        raise UsageError(f"synthesize: the seed must not be negative, found {seed}")
    if frames < 0 or fps <= 0:
        raise UsageError(f"synthesize: asked for sequences of {frames} pictures at {fps} per second")

    # Keep a data set that the same arguments made before
    motion = {"frames": int(frames), "fps": float(fps)} if frames else {}
    parameters = {"version": GENERATOR_VERSION, "seed": int(seed), **counts, **motion, **asdict(options)}
    parameters = json.loads(json.dumps(parameters))
    out = Path(out_dir)
    existing = _find_existing(out, parameters)
    if existing is not None:
        return existing

    # Write the splits and the parameters
    statistics = {}
    with _create_at_once(out) as folder:
        for split, count in counts.items():
            write: Callable[[int], list[_Picture]]
            if frames:
                write = partial(_write_sequence, folder / split, split, options, int(seed), int(frames), float(fps))
            else:
                write = partial(_write_picture, folder / split, split, options, int(seed))
            pictures = track(_map(write, range(count), workers), f"{split} pictures", total=count, enabled=progress)
            statistics[split] = _write_split(folder, split, options.size, pictures)
        metadata = {"what": "yolox_pose synthetic crowds", "parameters": parameters, "statistics": statistics}
        (folder / METADATA_NAME).write_text(json.dumps(metadata, indent=2) + "\n")
    return Synthesis(out, False, statistics)


@contextmanager
def _create_at_once(out: Path) -> Iterator[Path]:
    """Yield a scratch folder beside ``out`` that is renamed to ``out`` at the end, or removed after an error."""
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield scratch
        if out.exists():  # an empty folder, which not every system replaces by renaming
            out.rmdir()
        scratch.chmod(0o755)
        scratch.rename(out)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _find_existing(out: Path, parameters: dict[str, Any]) -> Synthesis | None:
    """Return the data set that ``out`` holds already, or None if it holds nothing.

    Raises:
        UsageError: If ``out`` holds something else, a data set of other parameters, or an incomplete one.
    """
    if not out.exists():
        return None
    if not out.is_dir():
        raise UsageError(f"{out} is a file; give the name of a folder to create")
    if not any(out.iterdir()):
        return None
    advice = "give another folder or delete this one"

    # Compare the parameters
    try:
        metadata = json.loads((out / METADATA_NAME).read_text())
        old_parameters, statistics = metadata["parameters"], metadata["statistics"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{out} holds something that synthesize did not write; {advice}") from None
    if old_parameters != parameters:
        keys = {*old_parameters, *parameters}
        differing = sorted(key for key in keys if old_parameters.get(key) != parameters.get(key))
        raise UsageError(f"{out} holds synthetic data made with other {', '.join(differing)}; {advice}")

    # Count the files
    for split in ("train", "val"):
        count, expected = len(list((out / split).rglob("*.jpg"))), parameters[split] * parameters.get("frames", 1)
        if count != expected or not (out / "annotations" / f"{split}.json").is_file():
            raise UsageError(f"{out} is incomplete: {count} of {expected} {split} pictures; {advice}")
    return Synthesis(out, True, statistics)


def _write_jpeg(path: Path, img: np.ndarray) -> None:
    ok, data = cv2.imencode(".jpg", img, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise RuntimeError(f"OpenCV could not encode {path.name}")
    path.write_bytes(data.tobytes())


def _write_picture(folder: Path, split: str, options: CrowdOptions, seed: int, index: int) -> list[_Picture]:
    """Write picture ``index`` of a split."""
    img, annotations = render_crowd(picture_rng(seed, split, index), options)
    name = f"{index:06d}.jpg"
    _write_jpeg(folder / name, img)
    return [_Picture({"file_name": name}, annotations)]


def _write_sequence(
    folder: Path, split: str, options: CrowdOptions, seed: int, frames: int, fps: float, index: int
) -> list[_Picture]:
    """Write the pictures of sequence ``index`` of a split."""
    (folder / f"{index:06d}").mkdir()
    pictures = []
    rendered = render_sequence(picture_rng(seed, split, index), options, frames, fps)
    for frame, (img, frame_annotations) in enumerate(rendered):
        name = f"{index:06d}/{frame:06d}.jpg"
        _write_jpeg(folder / name, img)
        pictures.append(_Picture({"file_name": name, "video_id": index + 1, "frame_id": frame}, frame_annotations))
    return pictures


def _write_split(root: Path, split: str, size: tuple[int, int], written: Iterable[list[_Picture]]) -> dict[str, float]:
    """Write the pictures and the annotation file of a split.

    Args:
        root: Folder of the data set.
        split: Name of the split.
        size: (W, H) of the pictures.
        written: Iterator that writes the pictures and returns them.

    Returns:
        Statistics of the split.
    """
    (root / split).mkdir()
    (root / "annotations").mkdir(exist_ok=True)

    # Number the images and annotations
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for picture in (picture for pictures in written for picture in pictures):
        image_id = len(images) + 1
        images.append({"id": image_id, **picture.fields, "width": size[0], "height": size[1]})
        for annotation in picture.annotations:
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **annotation})

    # Write the annotation file
    person = {
        "id": PERSON_CATEGORY,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(COCO_PERSON.names),
        "skeleton": [[a + 1, b + 1] for a, b in COCO_PERSON.links],
    }
    dataset = {
        "info": {"description": f"yolox_pose synthetic crowds, {split}", "version": str(GENERATOR_VERSION)},
        "images": images,
        "annotations": annotations,
        "categories": [person],
    }
    (root / "annotations" / f"{split}.json").write_text(json.dumps(dataset))
    return crowd_statistics(dataset)


def _map(work: Callable[[int], Any], items: Iterable[int], workers: int) -> Iterator[Any]:
    """Yield ``work(item)`` for all items in order, computed in this process or in several."""
    if workers <= 1:
        yield from map(work, items)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(work, items, chunksize=8)


def crowd_statistics(dataset: dict[str, Any]) -> dict[str, float]:
    """Count the images, people and crowd regions of a COCO dict, and compute the shares of keypoint visibility codes."""
    people = [annotation for annotation in dataset["annotations"] if not annotation["iscrowd"]]
    labelled = [annotation for annotation in people if annotation["num_keypoints"]]
    codes = np.array([annotation["keypoints"][2::3] for annotation in labelled], int).reshape(-1, 17)
    with_people = len({annotation["image_id"] for annotation in people})
    images = len(dataset["images"])
    return {
        "images": images,
        "images_without_people": images - len({annotation["image_id"] for annotation in dataset["annotations"]}),
        "people": len(people),
        "people_per_image_with_people": round(len(people) / max(with_people, 1), 3),
        "people_without_keypoints": len(people) - len(labelled),
        "crowd_regions": len(dataset["annotations"]) - len(people),
        "share_of_people_with_occluded_joints": round(float((codes == 1).any(1).mean()) if len(codes) else 0.0, 4),
        "share_of_keypoints_visible": round(float((codes == 2).mean()) if len(codes) else 0.0, 4),
        "share_of_keypoints_occluded": round(float((codes == 1).mean()) if len(codes) else 0.0, 4),
        "share_of_keypoints_outside": round(float((codes == 0).mean()) if len(codes) else 0.0, 4),
    }
