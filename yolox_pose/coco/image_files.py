"""Check the image files that annotations refer to: whether they exist, how large they are, whether they decode."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from yolox_pose.coco.problems import Problem
from yolox_pose.coco.records import PoseRecords
from yolox_pose.errors import ImageError
from yolox_pose.geometry.images import read_image
from yolox_pose.utils.progress import track


def missing_files(file: str, image_ids: np.ndarray, names: Sequence[str], root: str | Path) -> list[Problem]:
    """Return the images whose files do not exist. Each folder is listed once instead of asking for every file.

    Args:
        file: The annotation file, for messages.
        image_ids: Image ids, shape (N,).
        names: N file names; empty ones are left out.
        root: Folder that the names are relative to.
    """
    by_folder = defaultdict(list)
    for image_id, name in zip(image_ids.tolist(), names):
        if name:
            by_folder[os.path.dirname(os.path.join(root, name))].append((os.path.basename(name), image_id))
    problems = []
    for folder, members in by_folder.items():
        try:
            present = set(os.listdir(folder))
        except OSError:
            present = set()
        for name, image_id in members:
            if name not in present:
                message = f"image file not found: {os.path.join(folder, name)}"
                problems.append(Problem(file, "missing_file", message, image_id))
    return problems


def stored_size(root: str | Path, name: str) -> tuple[int, int] | None:
    """Return width and height from the header of an image file, None where it cannot be read."""
    from PIL import Image

    try:
        with Image.open(os.path.join(root, name)) as image:
            return image.size
    except (OSError, ValueError):
        return None


def undecodable_images(
    file: str,
    records: PoseRecords,
    root: str | Path,
    problems: Sequence[Problem],
    *,
    workers: int = 1,
    progress: bool = False,
) -> list[Problem]:
    """Decode all images and return those that are damaged or of another size than stated.

    Args:
        file: The annotation file, for messages.
        records: Its records.
        root: Folder of the images.
        problems: Problems of the file. Images that are known to be missing or wrong are not read.
        workers: Number of threads.
        progress: Whether a progress bar is shown.
    """
    rejected = {problem.image_id for problem in problems if problem.kind in ("missing_file", "image")}
    indices = [i for i, image_id in enumerate(records.image_ids.tolist()) if image_id not in rejected]

    def decode(index: int) -> Problem | None:
        width, height = records.sizes[index].tolist()
        try:
            read_image(os.path.join(root, records.file_name(index)), apply_exif=False, size=(width, height))
        except ImageError as error:
            return Problem(file, "image", str(error), int(records.image_ids[index]))
        return None

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        outcomes = track(pool.map(decode, indices), "decoding images", total=len(indices), enabled=progress)
        return [problem for problem in outcomes if problem is not None]
