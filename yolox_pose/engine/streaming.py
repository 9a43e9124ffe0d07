"""Score a model on sequences as it would be seen live (:mod:`yolox_pose.evaluation.streaming`), beside the offline figures."""

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

Shown = tuple[int, PoseResult | None]
"""Image id, and what is shown at that frame: None before the first prediction is finished."""


class Latency(NamedTuple):
    """How long the detector takes, in seconds.

    Attributes:
        mean: Of all frames.
        median: Likewise.
        given: Whether it was given, not measured.
    """

    mean: float
    median: float
    given: bool


class StreamingReport(NamedTuple):
    """Outcome of :func:`evaluate_streaming`.

    Attributes:
        metrics: Offline figures (``coco/AP``) and streaming figures (``streaming/AP``), and ``streaming/latency_ms``,
            ``streaming/processed`` (share of the frames that the detector worked on) and ``streaming/age_ms`` (mean age of
            the frame that a shown prediction is of).
        latency: Of the detector.
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

    Every frame goes through the model once, alone; what is current at which frame is worked out afterwards from the
    latencies, since a prediction does not depend on when it was made. Measured latencies are of the whole call from the
    decoded frame to the result.

    Args:
        config: An ``mmengine.Config``.
        checkpoint: Weights.
        fps: Frames a second of the sequences.
        latency: Seconds that each frame takes; None measures.
        forecast: Whether persons are moved on at constant velocity to the time of the frame.
        device: As for :class:`yolox_pose.PoseInferencer`.
        out: Folder for ``predictions.json`` and ``predictions_streaming.json``; None writes none.

    Raises:
        UsageError: If the config says nothing of testing, or an option is out of range.
        DataError: If the data are no sequences.
    """
    from yolox_pose.inference.inferencer import PoseInferencer
    from yolox_pose.registry import DATASETS

    if latency is not None and not latency >= 0:
        raise UsageError(f"the latency must not be negative, found {latency * 1000:g} ms")
    data = DATASETS.build(config.test_dataloader.dataset)
    usable = set(data.records.image_ids.tolist())  # all, unless the data set leaves bad ones out
    images = [
        image
        for image in read_coco_file(data.ann_file, require_annotations=False).images.entries
        if image["id"] in usable
    ]
    sequences = find_sequences(images, fps, data.ann_file)
    score = float((config.model.get("test_cfg") or {}).get("score_thr", 0.01))
    pose = PoseInferencer(config, checkpoint, device, score_thr=score, batch_size=1)
    metric = _build_metric(config, pose.skeleton is not None)
    metric.dataset_meta = {**data.metainfo, "classes": pose.classes}
    results, seconds = _predict_all(pose, data, sequences)
    if latency is not None:
        seconds = {name: np.full(len(values), latency) for name, values in seconds.items()}
    runs = {sequence.name: run_detector(sequence.times, seconds[sequence.name]) for sequence in sequences}
    sigmas = None if pose.skeleton is None else np.asarray(pose.skeleton.sigmas)
    offline: list[Shown] = []
    live: list[Shown] = []
    for sequence in sequences:
        found, tracker = results[sequence.name], Tracker(sigmas=sigmas) if forecast else None
        shown = stream_results(sequence, runs[sequence.name], found, tracker)
        scored = np.flatnonzero(sequence.scored).tolist()
        offline += [(int(sequence.image_ids[i]), found[i]) for i in scored]
        live += [(int(sequence.image_ids[i]), shown[i]) for i in scored]
    metrics = _score(metric, offline, None if out is None else out / PREDICTIONS_PREFIX)
    metric.prefix = STREAMING_PREFIX
    metrics |= _score(metric, live, None if out is None else out / f"{PREDICTIONS_PREFIX}_{STREAMING_PREFIX}")
    every = np.concatenate(list(seconds.values()))
    metrics |= _summary(sequences, runs, every)
    return StreamingReport(
        metrics, Latency(float(every.mean()), float(np.median(every)), latency is not None), len(every)
    )


def _summary(sequences: Sequence[FrameSequence], runs: Mapping[str, Runs], seconds: np.ndarray) -> dict[str, float]:
    """Figures of time; -1 as age where nothing was ever shown."""
    ages = np.concatenate([age_of_predictions(sequence.times, runs[sequence.name]) for sequence in sequences])
    processed = sum(len(run.frames) for run in runs.values())
    return {
        f"{STREAMING_PREFIX}/latency_ms": 1000 * float(seconds.mean()),
        f"{STREAMING_PREFIX}/processed": processed / len(seconds),
        f"{STREAMING_PREFIX}/age_ms": -1.0 if np.isnan(ages).all() else 1000 * float(np.nanmean(ages)),
    }


def stream_results(
    sequence: FrameSequence, runs: Runs, found: Sequence[PoseResult], tracker: Tracker | None = None
) -> list[PoseResult | None]:
    """What is shown at each frame.

    Args:
        sequence: F frames.
        runs: Of :func:`~yolox_pose.evaluation.streaming.run_detector`.
        found: F results, of which only those of frames that the detector worked on are used.
        tracker: Moves persons on to the time of the frame; None shows them where they were.

    Returns:
        F results, None where no prediction was finished yet.
    """
    current = current_runs(sequence.times, runs)
    shown: list[PoseResult | None] = [None] * len(current)
    for run, frame in enumerate(runs.frames.tolist()):
        result = found[frame]
        ids = _track(tracker, result, float(sequence.times[frame])) if tracker is not None else None
        for target in np.flatnonzero(current == run).tolist():
            shown[target] = result
            if tracker is not None and ids is not None:
                shown[target] = _moved(result, ids, tracker, float(sequence.times[target] - sequence.times[frame]))
    assert all((result is None) == (index == NO_RUN) for result, index in zip(shown, current.tolist()))
    return shown


def _track(tracker: Tracker, result: PoseResult, now: float) -> np.ndarray:
    """(n,) ids of the persons of a frame, -1 for those too unsure to have one."""
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
    """A result with its tracked persons moved on by the velocities of their tracks."""
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
    """Results and seconds of every frame of every sequence."""
    index = {int(image_id): position for position, image_id in enumerate(data.records.image_ids)}
    sequences = list(sequences)
    total = sum(len(sequence.image_ids) for sequence in sequences)

    def frames() -> Iterator[tuple[str, int]]:
        for sequence in sequences:
            for image_id in sequence.image_ids.tolist():
                yield sequence.name, index[image_id]

    found: dict[str, list[PoseResult]] = {sequence.name: [] for sequence in sequences}
    seconds: dict[str, list[float]] = {sequence.name: [] for sequence in sequences}
    cold = WARM_UP
    for name, position in track(frames(), "frames", total=total):
        img = data.load_image(position)
        for _ in range(cold):
            next(iter(pose(img)))
        cold = 0
        start = time.perf_counter()
        result = next(iter(pose(img)))
        seconds[name].append(time.perf_counter() - start)
        result.held_image = None  # a sequence of pictures may not fit into memory
        found[name].append(result)
    return found, {name: np.asarray(values) for name, values in seconds.items()}


def _build_metric(config: Any, has_keypoints: bool) -> Any:
    """The config's metric, for boxes and, where there are any, keypoints."""
    from yolox_pose.registry import METRICS

    settings = config.test_evaluator
    if not isinstance(settings, Mapping) or "ann_file" not in settings:
        raise UsageError("streaming evaluation needs one metric with an ann_file as test_evaluator")
    return METRICS.build({**settings, "metric": ["keypoints", "bbox"] if has_keypoints else ["bbox"]})


def _score(metric: Any, shown: Iterable[Shown], prefix: Path | None) -> dict[str, float]:
    """Figures of some results, by image id; None is nothing found."""
    metric.outfile_prefix = None if prefix is None else str(prefix)
    samples = [{"img_id": image_id, "pred_instances": _instances(result, metric)} for image_id, result in shown]
    metric.process(None, samples)
    return dict(metric.evaluate(len(samples)))


def _instances(result: PoseResult | None, metric: Any) -> dict[str, np.ndarray]:
    """Fields of ``pred_instances`` as the metric takes them."""
    names = {"scores": (), "labels": (), "bboxes": (4,)}
    if "keypoints" in metric.kinds:
        num_keypoints = metric.skeleton.num_keypoints
        names |= {"keypoints": (num_keypoints, 2), "keypoint_scores": (num_keypoints,)}
    if result is None:
        return {name: np.zeros((0, *shape)) for name, shape in names.items()}
    return {name: getattr(result, "boxes" if name == "bboxes" else name) for name in names}
