"""Evaluate a model on sequences, offline and as a live stream (:mod:`yolox_pose.evaluation.streaming`)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolox_pose.coco.reader import read_coco_file
from yolox_pose.coco.results import PREDICTIONS_PREFIX, STREAMING_PREFIX
from yolox_pose.errors import UsageError
from yolox_pose.evaluation.streaming import (
    NO_RUN,
    FrameSequence,
    Runs,
    age_of_predictions,
    current_runs,
    find_sequences,
    run_detector,
)
from yolox_pose.inference.results import PoseResult
from yolox_pose.tracking import Tracker
from yolox_pose.utils.progress import track

WARM_UP = 3
"""Calls of the model before latencies are measured."""

FrameResult = tuple[int, PoseResult | None]
"""Image id and result at that frame; None before the first prediction is finished."""


class Latency(NamedTuple):
    """Latency of the detector in seconds.

    Attributes:
        mean: Mean over all frames.
        median: Median over all frames.
        fixed: Whether the latency is an option, not measured.
    """

    mean: float
    median: float
    fixed: bool


class StreamingReport(NamedTuple):
    """Result of :func:`evaluate_streaming`.

    Attributes:
        metrics: Offline metrics (``coco/AP``), streaming metrics (``streaming/AP``), ``streaming/latency_ms``,
            ``streaming/processed`` (fraction of the frames that the detector processed) and ``streaming/age_ms`` (mean age
            of the current prediction).
        latency: Latency of the detector.
        frames: Number of frames.
    """

    metrics: dict[str, float]
    latency: Latency
    frames: int


def evaluate_streaming(
    config: Any,
    checkpoint: str | Path,
    *,
    fps: float,
    latency: float | None = None,
    forecast: bool = False,
    device: str = "auto",
    out: Path | None = None,
) -> StreamingReport:
    """Evaluate a checkpoint on the sequences of a config's test data.

    The model processes every frame once, with batch size 1. The latencies then decide which prediction is current at which
    frame. A measured latency covers the whole call, from the decoded frame to the result.

    Args:
        config: Config with test data.
        checkpoint: Weights of the model.
        fps: Frames per second of the sequences.
        latency: Latency of each frame in seconds; None measures it.
        forecast: Whether a tracker moves people at constant velocity to the time of the frame.
        device: Device, as for :class:`yolox_pose.PoseInferencer`.
        out: Folder for ``predictions.json`` and ``predictions_streaming.json``; None writes none.

    Raises:
        UsageError: If the config has no test data, or an option is out of range.
        DataError: If the images are not frames of sequences.
    """
    from yolox_pose.inference.inferencer import PoseInferencer
    from yolox_pose.registry import DATASETS

    if latency is not None and not latency >= 0:
        raise UsageError(f"the latency must not be negative, found {latency * 1000:g} ms")

    # Find the sequences in the test data; the data set may leave bad images out
    data = DATASETS.build(config.test_dataloader.dataset)
    usable = set(data.records.image_ids.tolist())
    images = [
        image
        for image in read_coco_file(data.ann_file, require_annotations=False).images.entries
        if image["id"] in usable
    ]
    sequences = find_sequences(images, fps, data.ann_file)

    # Predict every frame
    score_thr = float((config.model.get("test_cfg") or {}).get("score_thr", 0.01))
    pose = PoseInferencer(config, checkpoint, device, score_thr=score_thr, batch_size=1)
    metric = _build_metric(config, pose.skeleton is not None)
    metric.dataset_meta = {**data.metainfo, "classes": pose.classes}
    results, seconds = _predict_all(pose, data, sequences)
    if latency is not None:
        seconds = {name: np.full(len(values), latency) for name, values in seconds.items()}

    # Select the current prediction of each scored frame
    runs = {sequence.name: run_detector(sequence.times, seconds[sequence.name]) for sequence in sequences}
    sigmas = None if pose.skeleton is None else np.asarray(pose.skeleton.sigmas)
    offline: list[FrameResult] = []
    streamed: list[FrameResult] = []
    for sequence in sequences:
        predictions, tracker = results[sequence.name], Tracker(sigmas=sigmas) if forecast else None
        current = stream_results(sequence, runs[sequence.name], predictions, tracker)
        scored = np.flatnonzero(sequence.scored).tolist()
        offline += [(int(sequence.image_ids[i]), predictions[i]) for i in scored]
        streamed += [(int(sequence.image_ids[i]), current[i]) for i in scored]

    # Compute the metrics
    metrics = _score(metric, offline, None if out is None else out / PREDICTIONS_PREFIX)
    metric.prefix = STREAMING_PREFIX
    metrics |= _score(metric, streamed, None if out is None else out / f"{PREDICTIONS_PREFIX}_{STREAMING_PREFIX}")
    latencies = np.concatenate(list(seconds.values()))
    metrics |= _timing_metrics(sequences, runs, latencies)
    return StreamingReport(
        metrics, Latency(float(latencies.mean()), float(np.median(latencies)), latency is not None), len(latencies)
    )


def _timing_metrics(
    sequences: Sequence[FrameSequence], runs: Mapping[str, Runs], seconds: np.ndarray
) -> dict[str, float]:
    """Return the metrics of time; the age is -1 if no prediction was ever finished in time."""
    ages = np.concatenate([age_of_predictions(sequence.times, runs[sequence.name]) for sequence in sequences])
    processed = sum(len(run.frames) for run in runs.values())
    return {
        f"{STREAMING_PREFIX}/latency_ms": 1000 * float(seconds.mean()),
        f"{STREAMING_PREFIX}/processed": processed / len(seconds),
        f"{STREAMING_PREFIX}/age_ms": -1.0 if np.isnan(ages).all() else 1000 * float(np.nanmean(ages)),
    }


def stream_results(
    sequence: FrameSequence, runs: Runs, predictions: Sequence[PoseResult], tracker: Tracker | None = None
) -> list[PoseResult | None]:
    """Return the current prediction at each frame.

    Args:
        sequence: Sequence of F frames.
        runs: Runs of the detector (:func:`~yolox_pose.evaluation.streaming.run_detector`).
        predictions: Prediction of each frame; those of skipped frames are not used.
        tracker: Tracker that moves people to the time of the frame; None leaves them in place.

    Returns:
        Result of each frame, None before the first prediction is finished.
    """
    current = current_runs(sequence.times, runs)
    results: list[PoseResult | None] = [None] * len(current)
    for run, frame in enumerate(runs.frames.tolist()):
        result = predictions[frame]
        ids = _track(tracker, result, float(sequence.times[frame])) if tracker is not None else None
        for target in np.flatnonzero(current == run).tolist():
            results[target] = result
            if tracker is not None and ids is not None:
                results[target] = _moved(result, ids, tracker, float(sequence.times[target] - sequence.times[frame]))
    assert all((result is None) == (index == NO_RUN) for result, index in zip(results, current.tolist()))
    return results


def _track(tracker: Tracker, result: PoseResult, now: float) -> np.ndarray:
    """Return the track ids of a frame's people, (n,); -1 for low scores without a track."""
    return tracker.update(
        result.boxes,
        result.scores,
        labels=result.labels,
        keypoints=result.keypoints,
        keypoint_scores=result.keypoint_scores,
        time=now,
        size=result.size,
    )


def _moved(result: PoseResult, ids: np.ndarray, tracker: Tracker, seconds: float) -> PoseResult:
    """Return a result with tracked people moved by the velocities of their tracks."""
    before, after = tracker.forecast(0.0), tracker.forecast(seconds)
    by_id = dict(zip(after.ids.tolist(), after.boxes[:, :2] - before.boxes[:, :2]))  # boxes keep their size
    shift = np.asarray([by_id.get(i, (0.0, 0.0)) for i in ids.tolist()], np.float32).reshape(-1, 2)
    boxes, keypoints = result.boxes + np.tile(shift, 2), result.keypoints + shift[:, None]
    return PoseResult(
        keypoints, result.keypoint_scores, boxes, result.scores, result.labels, result.skeleton, result.classes
    )


def _predict_all(
    pose: Any, data: Any, sequences: Iterable[FrameSequence]
) -> tuple[dict[str, list[PoseResult]], dict[str, np.ndarray]]:
    """Return results and latencies in seconds of all frames by sequence."""
    index = {int(image_id): position for position, image_id in enumerate(data.records.image_ids)}
    sequences = list(sequences)
    total = sum(len(sequence.image_ids) for sequence in sequences)

    def frames() -> Iterator[tuple[str, int]]:
        for sequence in sequences:
            for image_id in sequence.image_ids.tolist():
                yield sequence.name, index[image_id]

    results: dict[str, list[PoseResult]] = {sequence.name: [] for sequence in sequences}
    seconds: dict[str, list[float]] = {sequence.name: [] for sequence in sequences}
    warm_up = WARM_UP
    for name, position in track(frames(), "frames", total=total):
        img = data.load_image(position)
        for _ in range(warm_up):
            next(iter(pose(img)))
        warm_up = 0
        start = time.perf_counter()
        result = next(iter(pose(img)))
        seconds[name].append(time.perf_counter() - start)
        result.held_image = None  # the images of a sequence may not fit into memory
        results[name].append(result)
    return results, {name: np.asarray(values) for name, values in seconds.items()}


def _build_metric(config: Any, has_keypoints: bool) -> Any:
    """Build the metric of the config, for boxes and, if the model has them, keypoints."""
    from yolox_pose.registry import METRICS

    settings = config.test_evaluator
    if not isinstance(settings, Mapping) or "ann_file" not in settings:
        raise UsageError("streaming evaluation needs one metric with an ann_file as test_evaluator")
    return METRICS.build({**settings, "metric": ["keypoints", "bbox"] if has_keypoints else ["bbox"]})


def _score(metric: Any, results: Iterable[FrameResult], prefix: Path | None) -> dict[str, float]:
    """Compute the metrics of results; None counts as no detections."""
    metric.outfile_prefix = None if prefix is None else str(prefix)
    samples = [{"img_id": image_id, "pred_instances": _instances(result, metric)} for image_id, result in results]
    metric.process(None, samples)
    return dict(metric.evaluate(len(samples)))


def _instances(result: PoseResult | None, metric: Any) -> dict[str, np.ndarray]:
    """Return the fields of ``pred_instances`` that the metric reads."""
    names = {"scores": (), "labels": (), "bboxes": (4,)}
    if "keypoints" in metric.kinds:
        num_keypoints = metric.skeleton.num_keypoints
        names |= {"keypoints": (num_keypoints, 2), "keypoint_scores": (num_keypoints,)}
    if result is None:
        return {name: np.zeros((0, *shape)) for name, shape in names.items()}
    return {name: getattr(result, "boxes" if name == "bboxes" else name) for name in names}
