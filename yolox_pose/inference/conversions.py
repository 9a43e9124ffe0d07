"""Convert results to the objects of other packages, which are imported when they are needed: pandas and supervision."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from yolox_pose.inference.formats import table_columns, table_rows
from yolox_pose.utils.dependencies import Dependency, MissingDependencyError, look_up, pip_install

if TYPE_CHECKING:
    import pandas
    import supervision

    from yolox_pose.inference.results import PoseResult

PANDAS = Dependency("pandas", "1.5", ("pandas",))
SUPERVISION = Dependency("supervision", "0.29", ("supervision",))
"""Since 0.29, ``KeyPoints`` has ``keypoint_confidence`` and ``detection_confidence``."""


class SupervisionResult(NamedTuple):
    """Result as objects of supervision, with a row for each person in both.

    Attributes:
        key_points: Keypoints, drawn by ``sv.EdgeAnnotator`` and ``sv.VertexAnnotator``.
        detections: Boxes, drawn by ``sv.BoxAnnotator`` and taken by zones and metrics.
    """

    key_points: supervision.KeyPoints
    detections: supervision.Detections


def result_to_df(result: PoseResult, image_id: int | str | None) -> pandas.DataFrame:
    """Convert a result to a table; see :meth:`yolox_pose.inference.results.PoseResult.to_df`."""
    pd = _import(PANDAS, "to_df")
    return pd.DataFrame(table_rows(result, image_id), columns=table_columns(result))


def result_to_supervision(result: PoseResult, kpt_thr: float) -> SupervisionResult:
    """Convert a result to supervision; see :meth:`yolox_pose.inference.results.PoseResult.to_supervision`."""
    sv = _import(SUPERVISION, "to_supervision")
    class_names = np.array([result.classes[label] for label in result.labels.tolist()], dtype=str)
    labels = result.labels.astype(int)
    visible = (result.keypoint_scores >= kpt_thr) & result.has_keypoints[:, None]

    tracks: dict[str, Any] = {} if result.track_ids is None else {"tracker_id": result.track_ids.astype(int)}
    key_points = sv.KeyPoints(
        xy=result.keypoints,
        class_id=labels,
        keypoint_confidence=result.keypoint_scores,
        detection_confidence=result.scores,
        visible=visible,
        data={"class_name": class_names, **tracks},
    )
    detections = sv.Detections(
        xyxy=result.boxes, confidence=result.scores, class_id=labels, data={"class_name": class_names}, **tracks
    )
    return SupervisionResult(key_points, detections)


def _import(package: Dependency, method: str) -> Any:
    """Import an optional package.

    Raises:
        MissingDependencyError: If it is missing or too old; one line with the command that installs it.
    """
    try:
        if problem := look_up(package).problem:
            raise ImportError(problem)
        return import_module(package.module)
    except ImportError as error:
        install = pip_install(f"'{package.module}>={package.minimum}'")
        raise MissingDependencyError(f"{method}: {error}; install it with: {install}") from None
