"""Constants that several packages share, each with its source."""

from __future__ import annotations

PAD_VALUE = 114
"""Gray level of the padding around an image, as in Megvii YOLOX (``yolox/data/data_augment.py``, ``preproc``)."""

SIZE_DIVISOR = 32
"""Height and width of the network's input are multiples of its largest stride (YOLOX strides: 8, 16, 32)."""

AREA_PER_BOX = 0.53
"""Area of a person divided by the area of the box, used where no area is annotated.

It is the mean of COCO's persons. MMPose's ``CocoMetric`` and CrowdPose's evaluation use the same factor.
"""

MIN_AREA = 1.0
"""Smallest area, in square pixels, that OKS divides by. Smaller instances count as this large."""

MAX_KEYPOINT_DETECTIONS = 20
"""Detections per image that COCO's keypoint evaluation counts (pycocotools ``cocoeval.py``, ``setKpParams``)."""

MAX_BOX_DETECTIONS = 100
"""Detections per image that COCO's box evaluation counts (pycocotools ``cocoeval.py``, ``setDetParams``)."""

DEFAULT_FPS = 25.0
"""Frames per second of a video or sequence that does not state its frame rate; the rate of PAL video."""

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm"}
    | {".tif", ".tiff", ".webp"}
)
"""Endings, in lower case, of the image files that are searched for in folders. OpenCV decodes all of them."""

DEFAULT_SCORE_THR = 0.5
"""Lowest score of a person that is shown. Of the poses of the bundled model on photos, 65 % are right from 0.5 on, 45 % from 0.3 on,
and 49 % instead of 51 % of the annotated people are found."""
