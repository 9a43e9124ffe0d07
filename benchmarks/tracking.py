"""Compare tracking with ByteTrack and mmpose's tracking, on synthetic sequences with known ids and on videos.

``python benchmarks/tracking.py [--json FILE]``. The sequences are those of ``tools/dataset.py synthesize --frames``. Detections
are simulated from their annotations, with a seed: noisy boxes and keypoints, low scores for mostly hidden people, and false
alarms. Everybody is undetected once for :data:`AWAY` seconds, as behind a wall. The peers get the same detections:

- ByteTrack of the package trackers, with the score threshold and the memory of our tracker, its other settings as published.
  Install it with ``pip install --no-deps trackers supervision``; without it the benchmark leaves it out and says so.
- The tracking of mmpose's demos, greedy on the OKS or the IoU with the previous frame.

With ``--video FILE --model CONFIG WEIGHTS`` (each once or more) all of them also track the detections of a model on a video.
``--truth FILE`` (once or more) names boxes of some people in some frames, such as ``annotations/arm_wrestling.json``; it belongs
to the video of that name. IDF1 counts people of at least ``min_height`` of the picture, as that file says, switches and misses
count those of any height. Without annotations, the benchmark counts ids and apparent changes of id
(:func:`yolox_pose.tracking.metrics.count_handovers`). ``--cache DIR`` keeps the detections of the model for the next run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from common import add_json_option, bounded, case, progress, report

from yolox_pose import compat
from yolox_pose.geometry.boxes import pairwise_iou
from yolox_pose.structures.skeleton import COCO_PERSON
from yolox_pose.synthetic.options import CrowdOptions
from yolox_pose.synthetic.rendering import picture_rng, render_sequence
from yolox_pose.tracking import Tracker, TrackerSettings
from yolox_pose.tracking.metrics import SAME_PERSON, TrackedFrame, TrackingMetrics, count_handovers, tracking_metrics

compat.install()

from mmpose.apis.inference_tracking import _track_by_iou, _track_by_oks  # noqa: E402

AWAY = 1.0
"""Seconds for which everybody is undetected once."""
PEOPLE = {"few people": (1, 3), "crowds": (4, 10)}
"""Smallest and largest number of people in a sequence. In crowds, others stand in the place of undetected people."""
BRIDGED = 0.9
"""Smallest fraction of the few people who keep their id after the gap."""
FALSE_ALARMS = 0.05
"""False alarms per frame."""
HIGH_SCORE, LOW_SCORE, ALARM_SCORE = 0.8, 0.2, 0.35
"""Scores of people, of mostly hidden people, and of false alarms."""
PEER_THRESHOLD = 0.3
"""Smallest similarity of two detections of a person in mmpose's demos (``tracking_thr``)."""
SIGMAS = np.asarray(COCO_PERSON.sigmas)
TABLE_UNITS = ("IDF1", "switches", "ms a frame")
"""Values that the guide shows; the report holds all."""
BYTETRACK = "trackers ByteTrackTracker"


class Detections(NamedTuple):
    """Detections of n persons in a frame."""

    boxes: np.ndarray  # (n, 4)
    scores: np.ndarray  # (n,)
    keypoints: np.ndarray  # (n, K, 2)
    keypoint_scores: np.ndarray  # (n, K)


class Clip(NamedTuple):
    """Annotations and detections of F frames.

    Attributes:
        truth: Ids and boxes of the annotated people of each frame.
        unseen: Boxes of mostly hidden people of each frame, who count neither as misses nor as false alarms.
        found: Detections of each frame.
        away: First undetected frame of each person.
    """

    truth: list[tuple[np.ndarray, np.ndarray]]
    unseen: list[np.ndarray]
    found: list[Detections]
    away: dict[int, int]


Follow = Callable[[Detections], np.ndarray]
"""Function from the detections of the next frame to their ids (n,), below 1 for none."""


def make_clip(index: int, frames: int, fps: float, size: tuple[int, int], people: tuple[int, int]) -> Clip:
    """Draw the annotations and detections of a synthetic sequence."""
    rng = np.random.default_rng(index)
    pictures = [found for _, found in render_sequence(_picture_rng(index), CrowdOptions(size, people), frames, fps)]
    ids = sorted({a["track_id"] for found in pictures for a in found})
    gap = round(AWAY * fps)
    away = {person: int(rng.integers(frames // 4, 3 * frames // 4 - gap)) for person in ids}
    truth, unseen, detections = [], [], []
    for frame, shown_there in enumerate(pictures):
        there = [a for a in shown_there if not away[a["track_id"]] <= frame < away[a["track_id"]] + gap]
        shown = [a for a in there if a["num_keypoints"]]
        boxes = _corners([a["bbox"] for a in shown])
        truth.append((np.array([a["track_id"] for a in shown], np.int64), boxes))
        unseen.append(_corners([a["bbox"] for a in there if not a["num_keypoints"]]))
        detections.append(_detect(there, size, rng))
    return Clip(truth, unseen, detections, away)


def _picture_rng(index: int) -> np.random.Generator:
    return picture_rng(0, "tracking", index)


def _corners(boxes: Sequence[Sequence[float]]) -> np.ndarray:
    x, y, w, h = np.array(boxes, float).reshape(-1, 4).T
    return np.stack([x, y, x + w, y + h], axis=1)


def _detect(annotations: Sequence[dict[str, Any]], size: tuple[int, int], rng: np.random.Generator) -> Detections:
    """Simulate detections of annotated people, in random order, and sometimes a false alarm."""
    boxes = _corners([a["bbox"] for a in annotations])
    extent = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))[:, None]
    triples = np.array([a["keypoints"] for a in annotations], float).reshape(-1, len(SIGMAS), 3)
    keypoints = triples[..., :2] + rng.normal(size=triples.shape[:2] + (2,)) * (SIGMAS * extent)[..., None]
    scores = np.where([a["num_keypoints"] > 0 for a in annotations], HIGH_SCORE, LOW_SCORE)
    found = [boxes + rng.normal(size=boxes.shape) * 0.03 * extent, scores, keypoints, 0.9 * (triples[..., 2] > 0)]
    if rng.random() < FALSE_ALARMS:
        corner = rng.uniform(0, 0.7, 2) * size
        alarm = np.concatenate([corner, corner + rng.uniform(0.1, 0.3, 2) * size])
        nothing = np.zeros((1, len(SIGMAS)))
        extra = alarm[None], np.array([ALARM_SCORE]), np.zeros((1, len(SIGMAS), 2)), nothing
        found = [np.concatenate(parts) for parts in zip(found, extra)]
    order = rng.permutation(len(found[1]))
    return Detections(*(values[order] for values in found))


def ours(fps: float, poses: bool, size: tuple[int, int], settings: TrackerSettings = TrackerSettings()) -> Follow:
    """Return the tracker of this package for pictures of a width and height."""
    tracker = Tracker(settings, fps=fps, sigmas=SIGMAS if poses else None)
    return lambda found: tracker.update(
        found.boxes, found.scores, keypoints=found.keypoints, keypoint_scores=found.keypoint_scores, size=size
    )


def mmpose(poses: bool, high_score: float = TrackerSettings().high_score) -> Follow:
    """Return the tracking of mmpose's demos: high-score detections get the ids of the previous frame by OKS or IoU."""
    last: list[Any] = []
    count = 0

    def follow(found: Detections) -> np.ndarray:
        nonlocal last, count
        ids, now, before = np.full(len(found.scores), -1, np.int64), [], list(last)
        for i in np.flatnonzero(found.scores >= high_score):
            one = _instance(found, int(i))
            if poses:
                track, before, _ = _track_by_oks(one, before, PEER_THRESHOLD, sigmas=SIGMAS)
            else:
                track, before, _ = _track_by_iou(one, before, PEER_THRESHOLD)
            if track == -1:
                count += 1
                track = count
            one.track_id = ids[i] = track
            now.append(one)
        last = now
        return ids

    return follow


def bytetrack(fps: float, settings: TrackerSettings = TrackerSettings()) -> Follow:
    """Return ByteTrack of the package trackers, with the score threshold and the memory of our settings."""
    import supervision as sv
    from trackers import ByteTrackTracker

    tracker = ByteTrackTracker(
        frame_rate=fps,
        lost_track_buffer=round(30 * settings.memory),  # it counts frames at 30 per second
        track_activation_threshold=settings.high_score,
        high_conf_det_threshold=settings.high_score,
    )

    def follow(found: Detections) -> np.ndarray:
        n = len(found.scores)
        boxes = np.asarray(found.boxes, dtype=float).reshape(n, 4)
        scores = np.asarray(found.scores, dtype=float)
        tracked = tracker.update(sv.Detections(xyxy=boxes, confidence=scores, data={"index": np.arange(n)}))
        ids = np.full(n, -1, np.int64)
        if len(tracked):
            ids[tracked.data["index"].astype(int)] = tracked.tracker_id
        return np.where(ids >= 0, ids + 1, -1)

    return follow


def has_bytetrack() -> bool:
    """Return whether the package trackers is installed."""
    try:
        import trackers  # noqa: F401
    except ImportError:
        return False
    return True


def followers(
    fps: float, poses: bool, size: tuple[int, int], settings: TrackerSettings = TrackerSettings()
) -> dict[str, Follow]:
    """Return our tracker, named ``ours``, and the peers."""
    sides = {"ours": ours(fps, poses, size, settings)}
    if has_bytetrack():
        sides[BYTETRACK] = bytetrack(fps, settings)
    sides["mmpose _track_by_oks" if poses else "mmpose _track_by_iou"] = mmpose(poses, settings.high_score)
    return sides


def _instance(found: Detections, i: int) -> SimpleNamespace:
    """Return a person with the attributes that the functions of mmpose read."""
    box = found.boxes[i]
    fields = {"bboxes": box[None], "areas": np.array([(box[2] - box[0]) * (box[3] - box[1])])}
    fields |= {"keypoints": found.keypoints[i : i + 1], "keypoint_scores": found.keypoint_scores[i : i + 1]}
    return SimpleNamespace(pred_instances=SimpleNamespace(**fields))


def track(clip: Clip, follow: Follow) -> tuple[list[TrackedFrame], float]:
    """Track a sequence; return the frames and the seconds per frame."""
    start = time.perf_counter()
    given = [follow(found) for found in clip.found]
    seconds = (time.perf_counter() - start) / len(given)
    frames = []
    for truth, unseen, ids, found in zip(clip.truth, clip.unseen, given, clip.found):
        counted = (ids > 0) & ~(pairwise_iou(found.boxes, unseen) >= SAME_PERSON).any(1)
        frames.append(TrackedFrame(*truth, ids[counted], found.boxes[counted]))
    return frames, seconds


def bridged(clip: Clip, frames: Sequence[TrackedFrame], fps: float) -> tuple[int, int]:
    """Count the people with the same id before and after the gap, and the people with an id at both times."""
    same = total = 0
    for person, first in clip.away.items():
        before = _id_of(person, frames[:first][::-1])
        after = _id_of(person, frames[first + round(AWAY * fps) :])
        if before is not None and after is not None:
            same, total = same + (before == after), total + 1
    return same, total


def _id_of(person: int, frames: Sequence[TrackedFrame], within: int = 10) -> int | None:
    """Return the first id of a person within a few frames, or None."""
    for frame in frames[:within]:
        measured = [i for i, p in enumerate(frame.truth_ids.tolist()) if p == person]
        if measured and len(frame.ids):
            distance = np.abs(frame.boxes - frame.truth_boxes[measured[0]]).max(1)
            box = frame.truth_boxes[measured[0]]
            if distance.min() < 0.25 * max(box[2] - box[0], box[3] - box[1]):
                return int(frame.ids[distance.argmin()])
    return None


def synthetic_cases(
    kind: str, clips: Sequence[Clip], fps: float, size: tuple[int, int], poses: bool
) -> list[dict[str, Any]]:
    """Compare both trackers on all sequences of a kind."""
    # Track all sequences with every tracker
    figures: dict[str, dict[str, float]] = {}
    for name in followers(fps, poses, size):
        tracked = [track(clip, followers(fps, poses, size)[name]) for clip in clips]
        total = [tracking_metrics(frames) for frames, _ in tracked]
        same, away = np.sum([bridged(clip, frames, fps) for clip, (frames, _) in zip(clips, tracked)], axis=0)
        figures[name] = _means(total) | {
            "share of people with the same id after 1 s away": same / max(away, 1),
            "ms a frame": 1e3 * float(np.mean([seconds for _, seconds in tracked])),
        }

    # Compare with each peer
    people = sum(len(clip.away) for clip in clips)
    how = "boxes and keypoints" if poses else "boxes alone"
    title = f"{kind}: {len(clips)} synthetic sequences, {people} people, {how}"
    lines = []
    for peer in list(figures)[1:]:
        for unit, value in figures["ours"].items():
            better = unit in ("IDF1", "MOTA") or unit.startswith("share")
            line = case(f"{title}, beside {peer}", unit, value, figures[peer][unit], peer, higher_is_better=better)
            lines.append(_goal(line, unit, kind, peer))
    return lines


def _goal(line: dict[str, Any], unit: str, kind: str, peer: str) -> dict[str, Any]:
    """Add the goal to a line: people keep their id after the gap."""
    must_hold = unit.startswith("share") and kind == "few people" and peer != BYTETRACK
    return bounded(line, "ours", at_least=BRIDGED) if must_hold else line


def _means(total: Sequence[TrackingMetrics]) -> dict[str, float]:
    return {
        "IDF1": float(np.mean([one.idf1 for one in total])),
        "MOTA": float(np.mean([one.mota for one in total])),
        "switches": sum(one.switches for one in total),
        "fragmentations": sum(one.fragmentations for one in total),
        "ids": sum(one.ids for one in total),
    }


class Video(NamedTuple):
    """Detections of a model on a video.

    Attributes:
        frames: Detections of each frame.
        fps: Frames per second.
        size: Width and height in pixels.
    """

    frames: list[Detections]
    fps: float
    size: tuple[int, int]


def detect(args: argparse.Namespace, video: Path, config: str, weights: str, low_score: float) -> Video:
    """Return the detections of a model on a video, from the cache if there is one."""
    # Read the cache
    fields = Detections._fields
    file = None if args.cache is None else args.cache / f"{video.stem}_{Path(weights).stem}_{low_score:g}.npz"
    if file is not None and file.exists():
        data = np.load(file)
        parts = [np.split(data[name], np.cumsum(data["counts"])[:-1]) for name in fields]
        return Video([Detections(*values) for values in zip(*parts)], float(data["fps"]), tuple(data["size"].tolist()))

    # Run the model
    from yolox_pose import PoseInferencer

    pose = PoseInferencer(config, weights, args.device, score_thr=low_score, classes=["person"], batch_size=8)
    frames, fps, size = [], 25.0, (1, 1)
    for result in pose(str(video)):
        frames.append(Detections(result.boxes, result.scores, result.keypoints, result.keypoint_scores))
        fps, size = result.fps or fps, result.size or size

    # Write the cache
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        arrays = {name: np.concatenate([getattr(frame, name) for frame in frames]) for name in fields}
        np.savez_compressed(file, counts=[len(frame.scores) for frame in frames], fps=fps, size=size, **arrays)
    return Video(frames, fps, size)


def video_cases(args: argparse.Namespace, video: Path, config: str, weights: str) -> list[dict[str, Any]]:
    """Compare all trackers on the detections of a model on a video."""
    # Detect the people and read the annotations
    settings = TrackerSettings(high_score=args.score_thr)
    detections = detect(args, video, config, weights, settings.low_score)
    poses = detections.frames[0].keypoints.shape[1] == len(SIGMAS)
    truth_file = find_truth(args.truth, video)
    truth = {} if truth_file is None else read_truth(truth_file)
    min_height = args.min_height
    if truth_file is not None:
        min_height = json.loads(truth_file.read_text()).get("min_height", min_height)

    # Track them
    figures, counts = {}, {}
    for name, follow in followers(detections.fps, poses, detections.size, settings).items():
        everybody, large_people = [], []
        for frame in detections.frames:
            ids = follow(frame)
            large = (ids > 0) & (frame.boxes[:, 3] - frame.boxes[:, 1] >= min_height * detections.size[1])
            everybody.append((ids[ids > 0], frame.boxes[ids > 0]))
            large_people.append((ids[large], frame.boxes[large]))
        counts[name] = Counter(int(i) for ids, _ in large_people for i in ids)
        figures[name] = {"ids": len(counts[name]), "handovers": count_handovers(large_people, round(detections.fps))}
        if truth:
            annotated = [number for number in sorted(truth) if number < len(detections.frames)]
            of_all = tracking_metrics(TrackedFrame(*truth[number], *everybody[number]) for number in annotated)
            of_large = tracking_metrics(TrackedFrame(*truth[number], *large_people[number]) for number in annotated)
            figures[name] |= {"switches": of_all.switches, "misses": of_all.misses, "IDF1": of_large.idf1}

    # Compare with each peer
    title = f"{video.name}, {len(detections.frames)} frames, {Path(weights).name}, people of at least {min_height:g} of its height"
    notes = {
        "ids": "frames of each id: " + ", ".join(str(count) for _, count in counts["ours"].most_common()),
        "handovers": "changes of id seen from overlap with the last second, without annotation",
        "switches": f"of the annotated people of any height, in {len(truth)} annotated frames",
        "misses": f"of {sum(len(boxes) for _, boxes in truth.values())} annotated boxes, of any height",
    }
    lines = []
    for peer in list(figures)[1:]:
        for unit, value in figures["ours"].items():
            more = {"note": notes[unit]} if unit in notes else {}
            name = f"{title}, beside {peer}"
            lines.append(case(name, unit, value, figures[peer][unit], peer, higher_is_better=unit == "IDF1", **more))
    return lines


def find_truth(files: Sequence[Path], video: Path) -> Path | None:
    """Return the annotations of a video: the file that names it, or a file that names no video."""
    for file in files:
        if json.loads(file.read_text()).get("video", video.name) == video.name:
            return file
    return None


def read_truth(file: Path) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return numbers (n,) and xyxy boxes (n, 4) of annotated people by frame, interpolated between annotated frames."""
    frames: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for segment in json.loads(file.read_text())["segments"]:
        keys = [np.array(sorted(map(int, boxes))) for boxes in segment.values()]
        corners = [np.array([boxes[str(k)] for k in at], float) for boxes, at in zip(segment.values(), keys)]
        for frame in range(keys[0][0], keys[0][-1] + 1):
            boxes = [[np.interp(frame, at, side) for side in values.T] for at, values in zip(keys, corners)]
            frames[frame] = np.arange(len(boxes)), np.array(boxes)
    return frames


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=6, help="of each kind")
    parser.add_argument("--frames", type=int, default=150, help="of a sequence")
    parser.add_argument("--fps", type=float, default=25.0, help="of the sequences")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 360), help="width and height of the sequences")
    parser.add_argument(
        "--video",
        type=Path,
        action="append",
        default=[],
        help="video that is tracked too; needs --model; may be repeated",
    )
    parser.add_argument(
        "--truth",
        type=Path,
        action="append",
        default=[],
        help="boxes of people in a video at some frames; may be repeated",
    )
    parser.add_argument("--cache", type=Path, help="folder that keeps the detections of the models on the videos")
    parser.add_argument(
        "--model",
        nargs=2,
        action="append",
        metavar=("CONFIG", "WEIGHTS"),
        default=[],
        help="pose model, or detector of persons; may be repeated",
    )
    parser.add_argument(
        "--score-thr", type=float, default=0.3, help="score from which a detection starts a track, as in the demo"
    )
    parser.add_argument(
        "--min-height", type=float, default=0.6, help="share of the picture's height, without annotations"
    )
    parser.add_argument("--device", default="auto")
    add_json_option(parser)
    args = parser.parse_args(argv)
    if args.video and not args.model:
        parser.error("--video needs --model CONFIG WEIGHTS")
    if args.frames <= 2 * AWAY * args.fps:
        parser.error(f"--frames must be above {2 * AWAY * args.fps:g}: everybody is away for {AWAY:g} s")
    size = args.size[0], args.size[1]
    cases: list[dict[str, Any]] = []
    for kind in progress(list(PEOPLE)):
        clips = [make_clip(i, args.frames, args.fps, size, PEOPLE[kind]) for i in range(args.sequences)]
        cases += [line for poses in (True, False) for line in synthetic_cases(kind, clips, args.fps, size, poses)]
    for video in args.video:
        cases += [line for config, weights in args.model for line in video_cases(args, video, config, weights)]
    for line in cases:
        line["in_table"] = line["unit"] in TABLE_UNITS
    packages = ["numpy", "torch", "mmpose"]
    if has_bytetrack():
        packages += ["trackers", "supervision"]
    else:
        print("ByteTrack is left out: pip install --no-deps trackers supervision", file=sys.stderr)
    report("tracking", cases, packages=packages, json_file=args.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
