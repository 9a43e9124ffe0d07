"""Data set of a COCO-format annotation file: packed records, seeded samples, a second pipeline for the last epochs."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from mmengine.logging import print_log
from torch.utils.data import Dataset

from yolox_pose.coco.loading import load_records, summarize_counts
from yolox_pose.coco.records import BOX_TOLERANCE, MERGE_IOU, PoseRecords, ReadOptions
from yolox_pose.datasets.cache import ImageCache
from yolox_pose.datasets.sampler import SampleKey
from yolox_pose.datasets.transforms import LetterboxResize
from yolox_pose.errors import DataError, ImageError
from yolox_pose.geometry.images import read_image
from yolox_pose.registry import DATASETS, TRANSFORMS
from yolox_pose.structures.classes import get_classes
from yolox_pose.structures.phase import TrainingPhase
from yolox_pose.structures.skeleton import Skeleton, get_skeleton

SKIP_TRIES = 10
"""Maximum number of images tried in place of an unreadable image with ``on_error='skip'``."""


@DATASETS.register_module()
class CocoPoseDataset(Dataset):
    """People with keypoints, or boxes with ``skeleton=None``, of a COCO-format annotation file.

    Items are indexed by :class:`SampleKey` or by an image index (epoch 0). The random numbers of a sample come from
    ``numpy.random.default_rng((seed, epoch, index))``. In the last phase of the training, samples go through
    ``final_pipeline``.

    Args:
        ann_file: Annotation file, relative to ``data_root`` unless absolute.
        data_root: Folder of relative paths.
        data_prefix: Folder of the images as ``img``, relative to ``data_root`` unless absolute.
        skeleton: Keypoints (see :func:`~yolox_pose.structures.skeleton.get_skeleton`); None for boxes only.
        classes: Classes (see :func:`~yolox_pose.structures.classes.get_classes`); None for all categories in file order.
        keypoint_file: Second annotation file of the same images, whose keypoints are merged into the instances of
            ``ann_file`` (:func:`~yolox_pose.coco.merge.merge_keypoints`), relative to ``data_root`` unless absolute.
        keypoint_classes: Names of the classes that have keypoints; None for all classes of the file with the keypoints.
        merge_iou: Minimum IoU for merging two boxes with different annotation ids.
        input_size: Width and height of the network's input, default of every transform with an ``input_size``; None keeps
            the defaults of the transforms.
        skip_transforms: Class names of transforms to leave out of the pipelines, so that a config can switch a transform
            off without repeating the list.
        transform_options: Arguments of transforms by class name that replace those in the pipelines, such as
            ``dict(YOLOXPoseAffine=dict(scale_range=(0.5, 1.5)))``.
        pipeline: Transforms, as configs or callables.
        final_pipeline: Transforms of the last epochs; None for ``pipeline``.
        seed: Non-negative seed of the augmentation.
        test_mode: Whether samples have no labels; the file then needs no annotations.
        on_error: Whether bad data stop the training (``'raise'``) or are left out, counted and logged (``'skip'``).
        other_categories: Whether annotations of categories outside ``classes`` are an ``'error'`` or are left out
            (``'ignore'``).
        keep_empty: Whether training uses images without instances; they teach the background.
        min_keypoints: Minimum number of labeled keypoints of the best instance of a training image; 0 keeps all images.
        indices: Number of first images, or positions of images; None for all.
        box_tolerance: Pixels that a box may exceed its image by; it is clipped and counted.
        cache: ``'ram'`` stores decoded images in memory that forked workers share; None reads files in each epoch.
        cache_limit_gb: Limit of that memory in 10^9 bytes; the first images that fit are stored.
        dataset_name: Name in the metainfo.
        lazy_init: Whether reading waits for :meth:`full_init`.

    Attributes:
        phase: Training phase with the seed; its owner is the training-phase hook.

    Raises:
        DataError: If the annotations are wrong (see :func:`~yolox_pose.coco.loading.load_records`).
    """

    CONFIG_GROUPS = {"data_prefix": ("img",)}

    def __init__(
        self,
        ann_file: str,
        data_root: str = "",
        data_prefix: Mapping[str, str] | None = None,
        *,
        skeleton: str | Mapping | Skeleton | Sequence[str] | None = "coco",
        classes: str | Sequence[str] | None = ("person",),
        keypoint_file: str | None = None,
        keypoint_classes: Sequence[str] | None = None,
        merge_iou: float = MERGE_IOU,
        input_size: Sequence[int] | None = None,
        skip_transforms: Sequence[str] = (),
        transform_options: Mapping[str, Mapping[str, Any]] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        final_pipeline: Sequence[dict | Callable] | None = None,
        seed: int = 0,
        test_mode: bool = False,
        on_error: str = "raise",
        other_categories: str = "error",
        keep_empty: bool = True,
        min_keypoints: int = 0,
        indices: int | Sequence[int] | None = None,
        box_tolerance: float = BOX_TOLERANCE,
        cache: str | None = None,
        cache_limit_gb: float = 4.0,
        dataset_name: str = "coco",
        lazy_init: bool = False,
    ) -> None:
        if cache not in (None, "ram"):
            raise ValueError(f"cache must be None or 'ram', not {cache!r}")
        self.ann_file = os.path.join(data_root, ann_file)
        self.image_root = os.path.join(data_root, (data_prefix or {}).get("img", ""))
        self.skeleton = None if skeleton is None else get_skeleton(skeleton)
        self.classes = None if classes is None else get_classes(classes)
        self.keypoint_file = None if keypoint_file is None else os.path.join(data_root, keypoint_file)
        self.keypoint_classes = None if keypoint_classes is None else tuple(keypoint_classes)
        self.merge_iou = merge_iou
        build = partial(build_pipeline, input_size=input_size, skip=skip_transforms, options=transform_options or {})
        self.pipeline = build(pipeline)
        self.final_pipeline = self.pipeline if final_pipeline is None else build(final_pipeline)
        self.phase = TrainingPhase(seed)
        self.test_mode = test_mode
        self.on_error = on_error
        self.other_categories = other_categories
        self.keep_empty = keep_empty
        self.min_keypoints = min_keypoints
        self.indices = indices
        self.box_tolerance = box_tolerance
        self.cache_limit = int(cache_limit_gb * 1e9) if cache else 0
        self.dataset_name = dataset_name
        self.flip_indices = np.zeros(0, dtype=np.int64) if self.skeleton is None else self.skeleton.flip_indices
        self._records: PoseRecords | None = None
        self._cache: ImageCache | None = None
        if not lazy_init:
            self.full_init()

    @property
    def records(self) -> PoseRecords:
        """Annotations, read at the first access."""
        self.full_init()
        assert self._records is not None
        return self._records

    def full_init(self) -> None:
        """Read the annotation file once."""
        if self._records is not None:
            return
        options = ReadOptions(
            num_keypoints=0 if self.skeleton is None else self.skeleton.num_keypoints,
            classes=self.classes,
            image_root=Path(self.image_root),
            other_categories=self.other_categories,
            box_tolerance=self.box_tolerance,
            require_annotations=not self.test_mode,
            keypoint_classes=self.keypoint_classes,
            keypoint_file=self.keypoint_file,
            merge_iou=self.merge_iou,
        )
        records = load_records(self.ann_file, options, on_error=self.on_error)
        self.classes, self.keypoint_classes = records.classes, records.keypoint_classes
        self._records = records.select(self._select(records))
        if not len(self._records):
            raise DataError(f"{self.ann_file}: no image is left after the filters")
        if self.cache_limit:
            self._cache = ImageCache(self._records.sizes, self.cache_limit)
        if records.counts:
            print_log(f"{self.ann_file}: {summarize_counts(records.counts)}", logger="current", level=logging.INFO)

    def _select(self, records: PoseRecords) -> np.ndarray:
        """Return the positions of the images that pass ``indices`` and, in training, the filters."""
        positions = np.arange(len(records))
        if self.indices is not None:
            positions = (
                positions[: self.indices] if isinstance(self.indices, int) else positions[np.asarray(self.indices)]
            )
        if self.test_mode:
            return positions
        if not self.keep_empty:
            positions = positions[records.instance_counts[positions] > 0]
        if self.min_keypoints and self.skeleton is not None:
            labelled = (records.visible > 0).sum(axis=1) >= self.min_keypoints
            image_of = np.repeat(np.arange(len(records)), records.instance_counts)
            positions = positions[np.isin(positions, image_of[labelled])]
        return positions

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.records)

    def __getitem__(self, key: SampleKey | int) -> Any:
        """Run a sample through the pipeline of its epoch.

        Raises:
            ImageError: If an image cannot be loaded. With ``on_error='skip'``, training continues with the next image.
        """
        key = key if isinstance(key, SampleKey) else SampleKey(0, int(key))
        tries = SKIP_TRIES if self.on_error == "skip" and not self.test_mode else 1
        for attempt in range(tries):
            try:
                return self._run(SampleKey(key.epoch, (key.index + attempt) % len(self)))
            except ImageError as error:
                if attempt == tries - 1:
                    raise
                print_log(f"skipped: {error}", logger="current", level=logging.WARNING)
        raise AssertionError("unreachable")

    def _run(self, key: SampleKey) -> Any:
        results = self.get_sample(key.index)
        results["rng"] = np.random.default_rng((self.phase.seed, key.epoch, key.index))
        results["dataset"] = self
        pipeline = self.final_pipeline if self.phase.is_last(key.epoch) else self.pipeline
        for transform in pipeline:
            results = transform(results)
            if results is None:
                raise DataError(f"{transform!r} gave nothing for image {int(self.records.image_ids[key.index])}")
        return results

    def get_sample(self, index: int) -> dict[str, Any]:
        """Return a sample without image and random generator. Labels are copies; test mode has none."""
        records = self.records
        width, height = records.sizes[index].tolist()
        sample = {
            "sample_idx": index,
            "img_id": int(records.image_ids[index]),
            "img_path": self.image_path(index),
            "ori_shape": (height, width),
            "flip_indices": self.flip_indices,
        }
        if not self.test_mode:
            rows = records.rows(index)
            sample |= {
                "bboxes": records.boxes[rows].copy(),
                "labels": records.labels[rows].copy(),
                "keypoints": records.keypoints[rows].copy(),
                "keypoints_visible": records.visible[rows].copy(),
                "areas": records.areas[rows].copy(),
                "ann_ids": records.ann_ids[rows].copy(),
                "ignore_mask": records.crowd_mask(index),
            }
        return sample

    def get_data_info(self, index: int) -> dict[str, Any]:
        """Return the sample without its image, for MMEngine's tools."""
        return self.get_sample(index)

    def num_instances(self, index: int) -> int:
        """Return the number of annotated instances of an image."""
        rows = self.records.rows(index)
        return rows.stop - rows.start

    def image_path(self, index: int) -> str:
        """Return the path of an image file."""
        return os.path.join(self.image_root, self.records.file_name(index))

    def load_image(self, index: int) -> np.ndarray:
        """Return an image as (H, W, 3) uint8 BGR, read-only if it comes from the cache.

        Raises:
            ImageError: If the file is missing, damaged, or its size differs from the annotation file.
        """
        records = self.records
        img = self._cache.get(index) if self._cache is not None else None
        if img is None:
            width, height = records.sizes[index].tolist()
            img = read_image(
                self.image_path(index), apply_exif=False, image_id=int(records.image_ids[index]), size=(width, height)
            )
            if self._cache is not None:
                self._cache.put(index, img)
        return img

    @property
    def metainfo(self) -> dict[str, Any]:
        """Names, links and colors in MMPose's fields, and the padding side, as plain values for checkpoints."""
        if self.classes is None or self.keypoint_file is not None:
            self.full_init()  # the files say which classes there are
        metainfo = dataset_metainfo(self.dataset_name, self.classes or (), self.skeleton, self.keypoint_classes)
        sides = [t.centered for t in (*self.pipeline, *self.final_pipeline) if isinstance(t, LetterboxResize)]
        return metainfo | {"preprocessing": {"centered": sides[-1]}} if sides else metainfo

    dataset_meta = metainfo


def build_pipeline(
    transforms: Sequence[dict | Callable],
    input_size: Sequence[int] | None = None,
    skip: Sequence[str] = (),
    options: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> list[Callable]:
    """Build transforms from configs; callables stay as they are.

    Args:
        transforms: Configs or callables.
        input_size: Default ``input_size`` of the transforms that take one.
        skip: Class names of transforms to leave out.
        options: Arguments by class name that replace those of the configs.

    Raises:
        ValueError: If a name in ``skip`` or ``options`` is not registered, which would change nothing silently.
    """
    skipped = {_transform_class(name) for name in skip}
    changed = {_transform_class(name): settings for name, settings in options.items()}
    built = []
    for transform in transforms:
        if isinstance(transform, dict):
            cls = _transform_class(transform["type"])
            if cls in skipped:
                continue
            takes_size = "input_size" in inspect.signature(cls).parameters
            defaults = {"input_size": tuple(input_size)} if takes_size and input_size is not None else None
            transform = TRANSFORMS.build({**transform, **changed.get(cls, {})}, default_args=defaults)
        built.append(transform)
    return built


def _transform_class(name: str | type) -> type:
    """Return the class of a transform's ``type``."""
    cls = TRANSFORMS.get(name) if isinstance(name, str) else name
    if cls is None:
        raise ValueError(f"there is no transform {name!r}")
    return cls


def dataset_metainfo(
    name: str, classes: Sequence[str], skeleton: Skeleton | None, keypoint_classes: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return metainfo in the fields that MMPose's visualizer and metrics read, with RGB colors.

    Args:
        name: Name of the data set.
        classes: Class names in label order.
        skeleton: Keypoints, or None for boxes alone.
        keypoint_classes: Names of the classes that have keypoints; None for all leaves the field out.
    """
    metainfo: dict[str, Any] = {"dataset_name": name, "classes": list(classes)}
    if skeleton is None:
        return metainfo
    if keypoint_classes is not None:
        metainfo["keypoint_classes"] = list(keypoint_classes)
    names = skeleton.names
    return metainfo | {
        "num_keypoints": skeleton.num_keypoints,
        "keypoint_id2name": dict(enumerate(names)),
        "keypoint_name2id": {keypoint: i for i, keypoint in enumerate(names)},
        "keypoint_colors": [list(color[::-1]) for color in skeleton.keypoint_colors],
        "flip_indices": skeleton.flip_indices.tolist(),
        "flip_pairs": [list(pair) for pair in skeleton.flip_pairs],
        "num_skeleton_links": len(skeleton.links),
        "skeleton_links": [list(link) for link in skeleton.links],
        "skeleton_link_colors": [list(color[::-1]) for color in skeleton.link_colors],
        "dataset_keypoint_weights": [1.0] * skeleton.num_keypoints,
        "sigmas": list(skeleton.sigmas),
    }
