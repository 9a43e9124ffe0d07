"""MMPose's visualizer, as its inferencer and its hooks ask for, working with numpy 2.4 and newer."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.structures import InstanceData
from mmpose.visualization import PoseLocalVisualizer

from yolox_pose.registry import VISUALIZERS


@VISUALIZERS.register_module()
class YOLOXPoseVisualizer(PoseLocalVisualizer):
    """``PoseLocalVisualizer`` for numpy 2.

    It calls ``np.array(..., copy=False)`` on tensors, which numpy 2 refuses, and ``int`` on an array of one radius, which
    numpy 2.4 refuses. May go when MMPose no longer does that.
    """

    def _draw_instances_kpts(self, image: np.ndarray, instances: InstanceData, *args: Any, **kwargs: Any) -> np.ndarray:
        return super()._draw_instances_kpts(image, instances.cpu().numpy(), *args, **kwargs)

    def draw_circles(self, center: Any, radius: Any, *args: Any, **kwargs: Any) -> YOLOXPoseVisualizer:
        """Draw circles; one radius may come as an array.

        Args:
            center: (2,), or (n, 2) with the matplotlib backend.
            radius: A number or (1,), or (n,) with the matplotlib backend.
            *args: As for ``PoseLocalVisualizer``.
            **kwargs: Likewise.
        """
        if self.backend == "opencv":
            radius = float(np.asarray(radius).reshape(-1)[0])
        super().draw_circles(center, radius, *args, **kwargs)
        return self
