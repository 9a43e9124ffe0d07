"""What a model's config and checkpoint say about its input, keypoints and classes. The checkpoint wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from yolox_pose.checkpoints.preprocessing import (
    LETTERBOX_TRANSFORM,
    adopt_letterbox,
    is_letterbox,
    stored_preprocessing,
)
from yolox_pose.errors import DataError, UsageError
from yolox_pose.geometry.letterbox import Preprocessing
from yolox_pose.structures.classes import CLASS_LISTS
from yolox_pose.structures.constants import PAD_VALUE
from yolox_pose.structures.skeleton import Skeleton, get_skeleton

INPUT_SIZE = (640, 640)
"""The transform's own default."""


def find_preprocessing(cfg: Mapping[str, Any], dataset_meta: Mapping[str, Any]) -> Preprocessing:
    """Find the letterbox of a config's test pipeline; what a checkpoint says of the padding wins, with a log line.

    Raises:
        UsageError: If the config has no test pipeline with such a transform.
    """
    dataset = _test_dataset(cfg)
    transform = next((dict(t) for t in dataset.get("pipeline", ()) if is_letterbox(t)), None)
    if transform is None:
        raise UsageError(
            f"the config has no {LETTERBOX_TRANSFORM} in the pipeline of its test_dataloader, so the "
            "size of the network's input is not known"
        )
    adopt_letterbox(transform, stored_preprocessing(dataset_meta))
    width, height = transform.get("input_size") or dataset.get("input_size") or INPUT_SIZE
    return Preprocessing(
        size=(int(width), int(height)),
        centered=transform.get("centered", True),
        pad_value=transform.get("pad_value", PAD_VALUE),
    )


def find_skeleton(model: Any) -> Skeleton | None:
    """Skeleton of a model from :func:`yolox_pose.models.loading.load_model`: that of its checkpoint, else of its head; None for plain detection.

    Raises:
        DataError: If the checkpoint's cannot be used or does not have as many keypoints as the model.
    """
    own = model.head.skeleton
    if own is None:
        return None
    try:
        stored = skeleton_from_metainfo(model.dataset_meta)
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(f"the skeleton stored in the checkpoint cannot be used: {error}") from None
    if stored is None:
        return own
    if stored.num_keypoints != own.num_keypoints:
        raise DataError(
            f"the checkpoint's skeleton has {stored.num_keypoints} keypoints, the model {own.num_keypoints}"
        )
    return stored


def skeleton_from_metainfo(metainfo: Mapping[str, Any]) -> Skeleton | None:
    """Skeleton from a data set's metainfo in MMPose's fields, or from its field ``skeleton``; None if it has neither.

    Raises:
        LookupError: If a keypoint has no name.
        ValueError: If the fields contradict each other.
    """
    if metainfo.get("skeleton"):
        return get_skeleton(metainfo["skeleton"])
    names = metainfo.get("keypoint_id2name")
    if not names:
        return None
    by_id = {int(i): str(name) for i, name in names.items()}
    mirrored = [int(i) for i in metainfo.get("flip_indices", ())]
    skeleton = Skeleton(
        names=tuple(by_id[i] for i in range(len(by_id))),
        links=tuple((int(a), int(b)) for a, b in metainfo.get("skeleton_links", ())),
        flip_pairs=tuple((i, other) for i, other in enumerate(mirrored) if i < other),
        sigmas=tuple(float(sigma) for sigma in metainfo.get("sigmas", ())),
    )
    points, limbs = (_bgr(metainfo.get(key)) for key in ("keypoint_colors", "skeleton_link_colors"))
    if (points, limbs) == (skeleton.keypoint_colors, skeleton.link_colors):
        return skeleton
    return replace(
        skeleton,
        point_colors=points if len(points) == len(by_id) else (),
        limb_colors=limbs if len(limbs) == len(skeleton.links) else (),
    )


def _bgr(colors: Any) -> tuple[tuple[int, int, int], ...]:
    """MMPose's RGB colours, a list or an array, as BGR tuples; empty where there are none."""
    return () if colors is None else tuple((int(b), int(g), int(r)) for r, g, b in colors)


def find_classes(model: Any) -> tuple[str, ...]:
    """Class names of a model: those of its checkpoint, else of its config's data set, else made up."""
    num_classes = model.head.num_classes
    loader = model.cfg.get("test_dataloader") or model.cfg.get("train_dataloader") or {}
    dataset = loader.get("dataset", {})
    for candidate in (
        model.dataset_meta.get("classes"),
        dataset.get("classes"),
        (dataset.get("metainfo") or {}).get("classes"),
    ):
        if isinstance(candidate, str):
            candidate = CLASS_LISTS.get(candidate)
        if candidate and len(candidate) == num_classes:
            return tuple(str(name) for name in candidate)
    return ("person",) if num_classes == 1 else tuple(f"class {i}" for i in range(num_classes))


def _test_dataset(cfg: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings of the test data set that has the pipeline, through data sets that wrap others; else the bare pipeline."""
    for name in ("test_dataloader", "val_dataloader"):
        dataset = (cfg.get(name) or {}).get("dataset")
        while dataset:
            if dataset.get("pipeline"):
                return dataset
            dataset = dataset.get("dataset")
    return {"pipeline": cfg.get("test_pipeline") or ()}
