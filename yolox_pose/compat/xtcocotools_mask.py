"""Stand in for ``xtcocotools.mask`` by ``pycocotools.mask``, for :mod:`yolox_pose.compat.xtcocotools`.

Remove this file together with that module.
"""

from pycocotools.mask import area, decode, encode, frPyObjects, iou, merge, toBbox

__all__ = ["area", "decode", "encode", "frPyObjects", "iou", "merge", "toBbox"]
