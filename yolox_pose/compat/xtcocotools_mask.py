"""``xtcocotools.mask``: the same functions as ``pycocotools.mask``. Goes with :mod:`yolox_pose.compat.xtcocotools`."""

from pycocotools.mask import area, decode, encode, frPyObjects, iou, merge, toBbox

__all__ = ["area", "decode", "encode", "frPyObjects", "iou", "merge", "toBbox"]
