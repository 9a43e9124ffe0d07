"""Find the input size, keypoints and classes of a model in its checkpoint, else in its config."""

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
"""Default of ``LetterboxResize``."""


def find_preprocessing(cfg: Mapping[str, Any], dataset_meta: Mapping[str, Any]) -> Preprocessing:
    """Find the letterbox of a config's test pipeline. The padding of the checkpoint replaces it, with a log line.

    Raises:
        UsageError: If the test pipeline has no ``LetterboxResize``.
    """
    dataset = _test_dataset(cfg)
    transform = next((dict(t) for t in dataset.get("pipeline", ()) if is_letterbox(t)), None)
    if transform is None:
        raise UsageError(
            f"the config has no {LETTERBOX_TRANSFORM} in the pipeline of its test_dataloader, so the "
            "input size of the network is unknown"
        )
    adopt_letterbox(transform, stored_preprocessing(dataset_meta))
    width, height = transform.get("input_size") or dataset.get("input_size") or INPUT_SIZE
    return Preprocessing(
        size=(int(width), int(height)),
        centered=transform.get("centered", True),
        pad_value=transform.get("pad_value", PAD_VALUE),
    )


def find_skeleton(model: Any) -> Skeleton | None:
    """Find the skeleton of a model: the checkpoint's, else the head's; None for plain detection.

    Args:
        model: A model from :func:`yolox_pose.models.loading.load_model`.

    Raises:
        DataError: If the checkpoint's skeleton cannot be used, or its number of keypoints differs from the model's.
    """
    skeleton = model.head.skeleton
    if skeleton is None:
        return None
    try:
        stored = skeleton_from_metainfo(model.dataset_meta)
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(f"the skeleton stored in the checkpoint cannot be used: {error}") from None
    if stored is None:
        return skeleton
    if stored.num_keypoints != skeleton.num_keypoints:
        raise DataError(
            f"the checkpoint's skeleton has {stored.num_keypoints} keypoints, the model {skeleton.num_keypoints}"
        )
    return stored


def skeleton_from_metainfo(metainfo: Mapping[str, Any]) -> Skeleton | None:
    """Build the skeleton from a data set's metainfo: its field ``skeleton``, else MMPose's fields; None without both.

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
    flip_indices = [int(i) for i in metainfo.get("flip_indices", ())]
    skeleton = Skeleton(
        names=tuple(by_id[i] for i in range(len(by_id))),
        links=tuple((int(a), int(b)) for a, b in metainfo.get("skeleton_links", ())),
        flip_pairs=tuple((i, other) for i, other in enumerate(flip_indices) if i < other),
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
    """Convert MMPose's RGB colors, a list or an array, to BGR tuples; empty for None."""
    return () if colors is None else tuple((int(b), int(g), int(r)) for r, g, b in colors)


def find_classes(model: Any) -> tuple[str, ...]:
    """Find the class names of a model in its checkpoint, else in its config's data set, else number them."""
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
    """Return the settings of the test data set that has a pipeline, inside of wrappers; else the config's ``test_pipeline``."""
    for name in ("test_dataloader", "val_dataloader"):
        dataset = (cfg.get(name) or {}).get("dataset")
        while dataset:
            if dataset.get("pipeline"):
                return dataset
            dataset = dataset.get("dataset")
    return {"pipeline": cfg.get("test_pipeline") or ()}
