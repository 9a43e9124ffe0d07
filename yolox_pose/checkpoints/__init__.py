"""Weights of any published YOLOX layout: reading, renaming, fitting to a model, writing.

Importing this fills the gaps of the OpenMMLab stack first (:mod:`yolox_pose.compat`): its own checkpoints are read safely.
"""

from yolox_pose import compat

compat.install()

import yolox_pose.checkpoints.mmengine_inferencers  # noqa: E402, F401  (registers itself)
from yolox_pose.checkpoints.files import Checkpoint, read_checkpoint, write_checkpoint  # noqa: E402
from yolox_pose.checkpoints.layouts import LAYOUTS, Layout, find_layout, from_own, to_own  # noqa: E402
from yolox_pose.checkpoints.matching import WeightMatch, match_weights  # noqa: E402

__all__ = [
    "LAYOUTS",
    "Checkpoint",
    "WeightMatch",
    "Layout",
    "find_layout",
    "match_weights",
    "from_own",
    "read_checkpoint",
    "to_own",
    "write_checkpoint",
]
