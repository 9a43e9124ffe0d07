"""MMPose's visualizer for numpy 2.4 and later."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.structures import InstanceData
from mmpose.visualization import PoseLocalVisualizer

from yolox_pose.registry import VISUALIZERS


@VISUALIZERS.register_module()
class YOLOXPoseVisualizer(PoseLocalVisualizer):
    """``PoseLocalVisualizer`` for numpy 2.

    MMPose calls ``np.array(..., copy=False)`` on tensors, which numpy 2 refuses, and ``int`` on an array with one radius,
    which numpy 2.4 refuses. This class can go when MMPose stops doing that.
    """

    def _draw_instances_kpts(self, image: np.ndarray, instances: InstanceData, *args: Any, **kwargs: Any) -> np.ndarray:
        return super()._draw_instances_kpts(image, instances.cpu().numpy(), *args, **kwargs)

    def draw_circles(self, center: Any, radius: Any, *args: Any, **kwargs: Any) -> YOLOXPoseVisualizer:
        """Draw circles; a single radius may be an array.

        Args:
            center: Center of shape (2,), or centers of shape (n, 2) with the matplotlib backend.
            radius: Number or array of shape (1,), or (n,) with the matplotlib backend.
            *args: Further arguments of ``PoseLocalVisualizer.draw_circles``.
            **kwargs: Further keyword arguments of ``PoseLocalVisualizer.draw_circles``.
        """
        if self.backend == "opencv":
            radius = float(np.asarray(radius).reshape(-1)[0])
        super().draw_circles(center, radius, *args, **kwargs)
        return self
