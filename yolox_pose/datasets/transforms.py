"""Registered transforms of the YOLOX-Pose pipelines: each draws its random numbers and calls ``augment`` and ``warp``.

All randomness comes from ``results["rng"]``, which the data set seeds by (seed, epoch, index). A mosaic is not drawn when
it is laid out: ``results["img"]`` is then a :class:`~yolox_pose.datasets.warp.TiledImage`, and ``YOLOXPoseAffine`` draws
its tiles with one warp each, straight into the final image. Any other transform gets it drawn first.

Shape letters: G instances, K keypoints, (H, W) the current image. ``input_size`` is always (width, height).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import InstanceData, PixelData
from mmpose.structures import PoseDataSample

from yolox_pose.datasets import augment
from yolox_pose.datasets.augment import Instances
from yolox_pose.datasets.loading import read_image
from yolox_pose.datasets.warp import (
    PAD_VALUE,
    Tile,
    TiledImage,
    affine_matrix,
    draw_tiles,
    mix_tile,
    scaling,
    translation,
    warp_image,
    warp_points,
)
from yolox_pose.geometry.letterbox import fit_letterbox, letterbox_image
from yolox_pose.registry import TRANSFORMS

LABEL_KEYS = ("bboxes", "labels", "keypoints", "keypoints_visible", "areas", "ann_ids")
"""Keys of a sample that hold one row per instance, in the order of :class:`Instances`."""
MIXUP_TRIES = 15
"""Draws of a mixup partner until one has instances, as in mmdet's ``YOLOXMixUp`` (``max_iters``)."""


def get_instances(results: dict[str, Any]) -> Instances:
    """The labels of a sample."""
    return Instances(*(results[key] for key in LABEL_KEYS))


def set_instances(results: dict[str, Any], instances: Instances) -> None:
    """Replace the labels of a sample."""
    results.update(zip(LABEL_KEYS, instances))


def as_size(size: int | Sequence[int]) -> tuple[int, int]:
    """Width and height from a setting of one side (a square) or of both.

    Raises:
        ValueError: If it is something else.
    """
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or any(not isinstance(side, int) or side < 1 for side in sides):
        raise ValueError(f"input_size must be one or two whole positive numbers (width, height), not {size!r}")
    return sides[0], sides[1]


def as_range(limits: Sequence[float]) -> tuple[float, float]:
    """Lower and upper limit from a setting.

    Raises:
        ValueError: If there are not two, or they are not in order.
    """
    low, high = limits
    if not low <= high:
        raise ValueError(f"a range needs its lower limit first, not {tuple(limits)}")
    return low, high


def image_size(results: dict[str, Any]) -> tuple[int, int]:
    """Width and height of the current image."""
    return results["img"].shape[1], results["img"].shape[0]


def to_planes(img: np.ndarray) -> np.ndarray:
    """(3, H, W) copy of an (H, W, 3) image; cv2 splits channels several times as fast as numpy transposes."""
    planes = np.empty((img.shape[2], *img.shape[:2]), dtype=img.dtype)
    cv2.split(img, list(planes))
    return planes


class SampleTransform(BaseTransform):
    """Base of the transforms: draws a picture of several tiles first, unless the transform takes it as it is."""

    takes_tiles = False

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Transform a sample in place."""
        if not self.takes_tiles and isinstance(results.get("img"), TiledImage):
            results["img"], results["ignore_mask"] = draw_tiles(results["img"], np.eye(3), results["img"].size)
        return self.transform(results)


@TRANSFORMS.register_module()
class LoadBGRImage(SampleTransform):
    """Read ``img_path`` as (H, W, 3) uint8 BGR into ``img``, unless the sample has an image already.

    Grey files give three equal channels; EXIF orientation is ignored, as the COCO annotations were made without it.

    Raises:
        SampleError: If the file is missing, damaged or of another size than its annotations are for.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``img``, and ``ori_shape`` (h, w) where it is not known yet."""
        if results.get("img") is None:
            if "dataset" in results:
                results["img"] = results["dataset"].load_image(results["sample_idx"])
            else:
                results["img"] = read_image(results["img_path"], image_id=results.get("img_id"))
        results.setdefault("ori_shape", results["img"].shape[:2])
        return results


@TRANSFORMS.register_module()
class YOLOXPoseMosaic(SampleTransform):
    """Put the image and three others of the data set around a point of a canvas of twice ``input_size``.

    Args:
        input_size: Width and height of a quarter of the canvas.
        center_range: Range of the common corner, in units of ``input_size``.
        pad_value: Grey where no image is.
        prob: Probability of a mosaic.
    """

    def __init__(
        self,
        input_size: int | Sequence[int] = (640, 640),
        center_range: Sequence[float] = (0.5, 1.5),
        pad_value: int = PAD_VALUE,
        prob: float = 1.0,
    ) -> None:
        self.input_size = as_size(input_size)
        self.center_range = as_range(center_range)
        self.pad_value = pad_value
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace ``img`` by a :class:`TiledImage` and the labels by those of all four images."""
        rng, dataset = results["rng"], results["dataset"]
        if rng.random() >= self.prob:
            return results
        center_x, center_y = (int(rng.uniform(*self.center_range) * side) for side in self.input_size)
        others = [dataset.get_sample(int(index)) for index in rng.integers(len(dataset), size=3)]
        img, samples = results["img"], [results, *others]
        loaders = [lambda: img] + [lambda i=other["sample_idx"]: dataset.load_image(i) for other in others]
        places = augment.mosaic_placements(
            [s["ori_shape"][::-1] for s in samples], self.input_size, (center_x, center_y)
        )
        tiles = [Tile(load, *place, sample["ignore_mask"]) for load, place, sample in zip(loaders, places, samples)]
        set_instances(results, augment.place_instances([get_instances(sample) for sample in samples], places))
        canvas = 2 * self.input_size[0], 2 * self.input_size[1]
        results["img"], results["ignore_mask"] = TiledImage(tuple(tiles), canvas, self.pad_value), None
        return results


@TRANSFORMS.register_module()
class YOLOXPoseAffine(SampleTransform):
    """Scale, rotate, shear and shift about the centre of the top left ``input_size`` window, and cut that window out.

    After a mosaic the window sees mainly the first image, as in the published recipe; its three neighbours are read from
    file only where they are seen. A single image is first fitted centred into the window.

    Args:
        input_size: Width and height of the result.
        scale_range: Range of the scale.
        max_rotation: Largest rotation in degrees, either way.
        max_shear: Largest shear in degrees, either way and along both axes.
        max_shift: Largest shift as a part of ``input_size``, either way.
        pad_value: Grey where no image is.
    """

    takes_tiles = True

    def __init__(
        self,
        input_size: int | Sequence[int] = (640, 640),
        scale_range: Sequence[float] = (0.75, 1.0),
        max_rotation: float = 10.0,
        max_shear: float = 2.0,
        max_shift: float = 0.1,
        pad_value: int = PAD_VALUE,
    ) -> None:
        self.input_size = as_size(input_size)
        self.scale_range = as_range(scale_range)
        self.max_rotation = max_rotation
        self.max_shear = max_shear
        self.max_shift = max_shift
        self.pad_value = pad_value

    def draw_matrix(self, rng: np.random.Generator) -> np.ndarray:
        """Draw the random 3x3 matrix."""
        (width, height), unit = self.input_size, rng.uniform(-1, 1, size=5)
        return affine_matrix(
            (width / 2, height / 2),
            scale=rng.uniform(*self.scale_range),
            rotation=unit[0] * self.max_rotation,
            shear=(unit[1] * self.max_shear, unit[2] * self.max_shear),
            shift=(unit[3] * self.max_shift * width, unit[4] * self.max_shift * height),
        )

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw the image and move the labels; what leaves the window is cut off."""
        matrix, window = self.draw_matrix(results["rng"]), (0, 0, *self.input_size)
        if not isinstance(results["img"], TiledImage):
            self._fit(results)
        results["img"], results["ignore_mask"] = draw_tiles(results["img"], matrix, self.input_size)
        moved = augment.warp_instances(get_instances(results), matrix)
        set_instances(results, augment.clip_instances(moved, window))
        return results

    def _fit(self, results: dict[str, Any]) -> None:
        """Turn a single image into a tile that is fitted centred into the window."""
        img, size = results["img"], image_size(results)
        scale = augment.fit_scale(size, self.input_size)
        pad = [(side - scale * extent) / 2 for side, extent in zip(self.input_size, size)]
        matrix = translation(*pad) @ scaling(scale, scale)
        region = (*pad, *warp_points(size, matrix).tolist())
        tile = Tile(lambda: img, matrix, region, results["ignore_mask"])
        results["img"] = TiledImage((tile,), self.input_size, self.pad_value)
        set_instances(results, augment.warp_instances(get_instances(results), matrix))


@TRANSFORMS.register_module()
class YOLOXPoseMixUp(SampleTransform):
    """Average the image with another one of the data set, of which a random window is seen.

    Partners without instances are drawn again, up to :data:`MIXUP_TRIES` times; a data set without any works too.

    Args:
        input_size: Width and height into which the partner is fitted before it is scaled.
        scale_range: Range of the partner's scale.
        flip_prob: Probability of mirroring the partner.
        pad_value: Grey where the partner does not reach.
        prob: Probability of a mixup.
    """

    def __init__(
        self,
        input_size: int | Sequence[int] = (640, 640),
        scale_range: Sequence[float] = (0.8, 1.6),
        flip_prob: float = 0.5,
        pad_value: int = PAD_VALUE,
        prob: float = 1.0,
    ) -> None:
        self.input_size = as_size(input_size)
        self.scale_range = as_range(scale_range)
        self.flip_prob = flip_prob
        self.pad_value = pad_value
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mix the images and append the partner's labels."""
        rng, dataset, size = results["rng"], results["dataset"], image_size(results)
        if rng.random() >= self.prob:
            return results
        other = dataset.get_sample(self._partner(rng, dataset))
        mirror, jitter = bool(rng.random() < self.flip_prob), rng.uniform(*self.scale_range)
        source = other["ori_shape"][1], other["ori_shape"][0]
        place = augment.mixup_placement(
            source, self.input_size, size, jitter=jitter, mirror=mirror, crop=tuple(rng.random(2))
        )
        tile = Tile(lambda: dataset.load_image(other["sample_idx"]), *place, other["ignore_mask"])
        results["img"], crowd = mix_tile(results["img"], tile, self.pad_value)
        crowds = [mask for mask in (results["ignore_mask"], crowd) if mask is not None]
        results["ignore_mask"] = np.maximum.reduce(crowds) if crowds else None
        moved = augment.warp_instances(get_instances(other), place.matrix)
        if mirror:
            moved = augment.swap_keypoints(moved, results["flip_indices"])
        parts = [get_instances(results), augment.clip_instances(moved, place.region)]
        set_instances(results, augment.concat_instances(parts))
        return results

    @staticmethod
    def _partner(rng: np.random.Generator, dataset: Any) -> int:
        for index in rng.integers(len(dataset), size=MIXUP_TRIES).tolist():
            if dataset.num_instances(index):
                break
        return index


@TRANSFORMS.register_module()
class YOLOXPoseHSV(SampleTransform):
    """Shift hue, saturation and value by random whole numbers, each with probability one half.

    Args:
        hue: Largest shift of the hue, of 180.
        saturation: Largest shift of the saturation, of 255.
        value: Largest shift of the value, of 255.
    """

    def __init__(self, hue: int = 5, saturation: int = 30, value: int = 30) -> None:
        self.limits = np.array([hue, saturation, value], dtype=np.float64)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace ``img``."""
        rng = results["rng"]
        gains = (rng.uniform(-1, 1, 3) * self.limits * rng.integers(0, 2, 3)).astype(int)
        results["img"] = augment.shift_hsv(results["img"], gains.tolist())
        return results


@TRANSFORMS.register_module()
class YOLOXPoseFlip(SampleTransform):
    """Mirror the image left to right, x -> W - x, and exchange the left and right keypoints.

    Args:
        prob: Probability of mirroring.
    """

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mirror image, crowd mask and labels."""
        if results["rng"].random() >= self.prob:
            return results
        width = results["img"].shape[1]
        for key in ("img", "ignore_mask"):
            if results[key] is not None:
                results[key] = cv2.flip(results[key], 1)
        mirrored = augment.mirror_instances(get_instances(results), width, results["flip_indices"])
        set_instances(results, mirrored)
        return results


@TRANSFORMS.register_module()
class LetterboxResize(SampleTransform):
    """Fit the image into ``input_size`` with its aspect kept; the exact inverse is in ``letterbox``.

    Args:
        input_size: Width and height of the result.
        centered: Pad both sides (pose, joint) or only right and bottom (detection).
        pad_value: Grey of the padding.
    """

    def __init__(
        self, input_size: int | Sequence[int] = (640, 640), centered: bool = True, pad_value: int = PAD_VALUE
    ) -> None:
        self.input_size = as_size(input_size)
        self.centered = centered
        self.pad_value = pad_value

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize and pad the image, move the labels if there are any."""
        letterbox = fit_letterbox(image_size(results), self.input_size, self.centered)
        matrix = translation(*letterbox.pad) @ scaling(*letterbox.scale)
        results["img"] = letterbox_image(results["img"], letterbox, self.pad_value)
        results["letterbox"] = letterbox
        if results.get("ignore_mask") is not None:
            mask = warp_image(results["ignore_mask"], matrix, self.input_size, pad_value=0, nearest=True)
            results["ignore_mask"] = mask
        if "bboxes" in results:
            set_instances(results, augment.warp_instances(get_instances(results), matrix))
        return results


@TRANSFORMS.register_module()
class DropTinyInstances(SampleTransform):
    """Drop instances of whose box the crops left no more than ``min_size`` pixels on either side.

    Args:
        min_size: Sides up to this length are dropped. The recipe's value is 1 (mmpose ``FilterAnnotations``).
    """

    def __init__(self, min_size: float = 1.0) -> None:
        self.min_size = min_size

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Select the instances that are left."""
        instances = get_instances(results)
        set_instances(results, instances.select(augment.large_enough(instances.boxes, self.min_size)))
        return results


@TRANSFORMS.register_module()
class PackYOLOXPoseInputs(SampleTransform):
    """Turn a sample into ``inputs``, a (3, H, W) uint8 tensor, and ``data_samples``, a :class:`PoseDataSample`.

    The labels go into ``gt_instance_labels`` (``bboxes``, ``labels``, ``keypoints``, ``keypoints_visible``, ``areas``), a
    crowd mask into ``gt_fields.ignore_mask`` (1, H, W), but only where the image has one. The metainfo has ``img_id``,
    ``img_path``, ``ori_shape`` (h, w), ``img_shape`` (H, W), ``input_size`` (W, H), ``letterbox`` (sx, sy, left, top), and
    ``input_center`` and ``input_scale`` in source pixels for MMPose's own consumers.

    Args:
        meta_keys: Further keys of the sample to put into the metainfo.
    """

    def __init__(self, meta_keys: Sequence[str] = ()) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack a sample; in test mode it has no labels."""
        sample = PoseDataSample()
        for key, value in self._metainfo(results).items():  # set at once, MMEngine would copy each of them
            sample.set_field(value, key, field_type="metainfo")
        if "bboxes" in results:
            labels = InstanceData()
            for key, values in zip(LABEL_KEYS[:-1], get_instances(results)):
                labels.set_field(torch.from_numpy(values), key)  # of one length, which need not be looked at each time
            sample.gt_instance_labels = labels
        if results.get("ignore_mask") is not None:
            mask = torch.from_numpy(np.ascontiguousarray(results["ignore_mask"]))
            sample.gt_fields = PixelData(ignore_mask=mask[None])
        return {"inputs": torch.from_numpy(to_planes(results["img"])), "data_samples": sample}

    def _metainfo(self, results: dict[str, Any]) -> dict[str, Any]:
        (width, height), box = image_size(results), results.get("letterbox")
        (sx, sy), (left, top) = (box.scale, box.pad) if box else ((1.0, 1.0), (0, 0))
        metainfo = {key: results[key] for key in ("img_id", "img_path", *self.meta_keys) if key in results}
        return metainfo | {
            "ori_shape": tuple(results["ori_shape"]),
            "img_shape": (height, width),
            "input_size": (width, height),
            "letterbox": (float(sx), float(sy), float(left), float(top)),
            "input_center": np.array([(width / 2 - left) / sx, (height / 2 - top) / sy], dtype=np.float32),
            "input_scale": np.array([width / sx, height / sy], dtype=np.float32),
        }
