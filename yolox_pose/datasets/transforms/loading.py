"""Load the image of a sample."""

from __future__ import annotations

from typing import Any

from yolox_pose.datasets.transforms.base import SampleTransform
from yolox_pose.geometry.images import read_image
from yolox_pose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadBGRImage(SampleTransform):
    """Read ``img_path`` as (H, W, 3) uint8 BGR into ``img``, unless the sample has an image already.

    Grayscale files give three equal channels. EXIF orientation is ignored, because COCO annotations refer to the stored pixels.

    Raises:
        ImageError: If the file is missing, damaged, or its size differs from the annotation file.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``img``, and ``ori_shape`` (h, w) if it is missing."""
        if results.get("img") is None:
            if "dataset" in results:
                results["img"] = results["dataset"].load_image(results["sample_idx"])
            else:
                results["img"] = read_image(results["img_path"], apply_exif=False, image_id=results.get("img_id"))
        results.setdefault("ori_shape", results["img"].shape[:2])
        return results
