"""Read, rename, match and write weights of any published YOLOX layout.

Importing this package fills the gaps of the OpenMMLab stack first (:mod:`yolox_pose.compat`), so that checkpoints load safely.
"""

from yolox_pose import compat

compat.install()

import yolox_pose.checkpoints.mmengine_inferencers  # noqa: E402, F401  (registers itself)
from yolox_pose.checkpoints.files import Checkpoint, read_checkpoint, write_checkpoint  # noqa: E402
from yolox_pose.checkpoints.layouts import LAYOUTS, Layout, export_name, find_layout, import_name  # noqa: E402
from yolox_pose.checkpoints.matching import WeightMatch, match_weights  # noqa: E402

__all__ = [
    "LAYOUTS",
    "Checkpoint",
    "WeightMatch",
    "Layout",
    "export_name",
    "find_layout",
    "import_name",
    "match_weights",
    "read_checkpoint",
    "write_checkpoint",
]
