"""Synthetic crowds: pictures of articulated, dressed, occluding figures with exact COCO keypoint annotations.

Made for the quickstart and for tests, where real photographs cannot be shipped. Everything in an annotation follows
from the painted picture: masks, boxes and areas from the pixels that a person owns, a keypoint's visibility from what
is topmost at its pixel (see :func:`annotate`). Picture i of a split depends on the seed, the split's name and i alone.

Depends on numpy and cv2 alone. Shape shorthand: H, W picture.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from yolox_pose.errors import UsageError
from yolox_pose.structures.constants import DEFAULT_FPS
from yolox_pose.structures.skeleton import COCO_PERSON
from yolox_pose.synthetic import scene as scenes
from yolox_pose.synthetic.figure import PARTS_PER_PERSON, Part, paint_figure
from yolox_pose.synthetic.motion import random_mover
from yolox_pose.synthetic.paint import BACKGROUND, Canvas, planar
from yolox_pose.utils.progress import track

GENERATOR_VERSION = 2
"""Raised whenever the same seed would give other pictures than before."""

METADATA_NAME = "synthetic.json"
PROP = -2
"""Owner of a pixel on an object in front of the background."""

_LEAST_AREA = 40
"""A person of whom fewer pixels are seen is taken out of the scene."""
_CROWD_FIGURES = (6, 12)
_FEWER = 1.4
"""Numbers of people are drawn as a uniform number to this power: small ones are more frequent."""
_TRIES = 24
"""Places that a person chooses between where nothing is to be occluded."""
_SCENES = 30
"""Scenes that are drawn before giving up to show as many people as asked for."""
_ROOM = 0.2
"""Half the distance that a person keeps, as a share of its height."""


@dataclass(frozen=True)
class CrowdOptions:
    """What pictures are like.

    Args:
        size: (W, H) in pixels.
        people: Fewest and most labelled people in a picture that has people.
        heights: Standing heights of the farthest and the nearest people as shares of the picture's height.
        occlusion: 0 places people apart from each other as far as there is room, 1 places them at random and with
            more objects in front of them.
        person_free: Share of pictures without anybody.
        crowd_regions: Share of pictures with an ``iscrowd`` region: many small figures, annotated as one mask.
        unlabelled: Share of people with a box and a mask but no keypoints.
        least_shown: A person of whom a smaller share is seen (of what is inside the picture) is left out of it.
        clutter: Mean number of things behind the people.
        variety: Share of people in any pose and facing any way; the others stand facing the viewer.
    """

    size: tuple[int, int] = (192, 192)
    people: tuple[int, int] = (2, 8)
    heights: tuple[float, float] = (0.4, 0.8)
    occlusion: float = 0.3
    person_free: float = 0.07
    crowd_regions: float = 0.04
    unlabelled: float = 0.02
    least_shown: float = 0.3
    clutter: float = 6.0
    variety: float = 1.0

    def __post_init__(self) -> None:
        low, high = self.people
        if not 0 <= low <= high:
            raise UsageError(f"people must be two numbers, fewest and most, found {self.people}")
        if len(self.size) != 2 or min(self.size) < 32:
            raise UsageError(f"size must be width and height of at least 32 pixels, found {self.size}")
        if self.clutter < 0:
            raise UsageError(f"clutter must not be negative, found {self.clutter}")
        if not 0 < self.heights[0] <= self.heights[1] <= 2:
            raise UsageError(f"heights must be two shares of the picture's height, found {self.heights}")
        for name in ("occlusion", "person_free", "crowd_regions", "unlabelled", "least_shown", "variety"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must be between 0 and 1, found {getattr(self, name)}")


class Scene(NamedTuple):
    """What is in a picture: its background, and people and objects sorted from the farthest to the nearest."""

    background: np.ndarray  # (3, H, W) float32
    things: list[scenes.Actor | scenes.Prop]
    light: float  # where it comes from: -1 left .. 1 right

    @property
    def actors(self) -> list[scenes.Actor]:
        """The people, in the order in which they are painted and numbered."""
        return [thing for thing in self.things if isinstance(thing, scenes.Actor)]


class Painting(NamedTuple):
    """A painted scene and how much of each of its people there is."""

    canvas: Canvas
    whole: np.ndarray  # (P,) pixels of each person in the picture before nearer things were painted over it
    seen: np.ndarray  # (P,) pixels of each person in the finished picture


def sample_scene(rng: np.random.Generator, options: CrowdOptions, *, people: bool = True) -> Scene:
    """Draw a background, objects and, if asked for, people."""
    canvas = Canvas(scenes.random_background(rng, options.size))
    scenes.add_clutter(rng, canvas, int(rng.poisson(options.clutter)))
    light = float(rng.uniform(-1, 1))
    things: list = [_prop(rng, options) for _ in range(rng.poisson(1.2 * options.occlusion if people else 2))]
    if people:
        low, high = options.people
        count = low + int((high + 1 - low) * rng.random() ** _FEWER)
        things += _place_people(rng, options, count)
        if rng.random() < options.crowd_regions:
            things += _crowd(rng, options)
    return Scene(canvas.planes, sorted(things, key=lambda thing: thing.nearness), light)


def _prop(rng: np.random.Generator, options: CrowdOptions) -> scenes.Prop:
    nearness = float(rng.uniform(0, 1.1))
    return scenes.random_prop(rng, options.size, nearness, scenes.ground_line(options.size, nearness))


def _place_people(rng: np.random.Generator, options: CrowdOptions, count: int) -> list[scenes.Actor]:
    """People side by side: each, from the nearest on, takes the emptiest of a few random places."""
    width, height = options.size
    tries = 1 + round(_TRIES * (1 - options.occlusion) ** 2)
    placed: list[scenes.Actor] = []
    for nearness in np.sort(rng.random(count))[::-1]:
        columns = rng.uniform(0.05, 0.95, tries) * width
        tall = options.heights[0] + (options.heights[1] - options.heights[0]) * nearness
        crowding = [
            sum(max(0.0, _ROOM * (tall * height + other.figure.height) - abs(x - _column(other))) for other in placed)
            for x in columns
        ]
        x = float(columns[int(np.argmin(crowding))])
        actor = scenes.random_actor(rng, x, options.size, options.heights, float(nearness), options.variety)
        role = "unlabelled" if rng.random() < options.unlabelled else "person"
        placed.append(replace(actor, role=role))
    return placed


def _column(actor: scenes.Actor) -> float:
    return float(actor.figure.keypoints[11:13, 0].mean())


def _crowd(rng: np.random.Generator, options: CrowdOptions) -> list[scenes.Actor]:
    """Small figures close together, farther away than everybody else."""
    width = options.size[0]
    middle, spread = rng.uniform(0.2, 0.8) * width, rng.uniform(0.1, 0.2) * width
    small = (0.5 * options.heights[0], 0.6 * options.heights[0])
    crowd = []
    for nearness in np.sort(rng.uniform(-0.4, -0.3, rng.integers(*_CROWD_FIGURES))):
        x = float(middle + rng.uniform(-1, 1) * spread)
        actor = scenes.random_actor(rng, x, options.size, small, float(nearness), options.variety)
        crowd.append(replace(actor, role="crowd"))
    return crowd


def paint_scene(scene: Scene) -> Painting:
    """Paint everything from the farthest to the nearest. People are numbered in that order."""
    canvas = Canvas(scene.background)
    for actor in scene.actors:
        (ax, ay), (bx, by) = actor.figure.feet
        height = actor.figure.height
        canvas.shadow(((ax + bx) / 2, (ay + by) / 2), 0.22 * height, 0.07 * height, 0.55)
    whole: list[int] = []
    for thing in scene.things:
        if isinstance(thing, scenes.Prop):
            for shape, color in thing.shapes:
                canvas.fill(shape, color, PROP)
        else:
            paint_figure(canvas, thing.figure, len(whole), scene.light)
            whole.append(int(_owned(canvas.owner, len(whole) + 1)[-1]))
    return Painting(canvas, np.array(whole, np.int64), _owned(canvas.owner, len(whole)))


def _owned(owner: np.ndarray, count: int) -> np.ndarray:
    """(count,) number of pixels that each of the first people owns."""
    parts = np.bincount(owner[owner >= 0], minlength=count * PARTS_PER_PERSON)
    people = parts[: count * PARTS_PER_PERSON].reshape(count, PARTS_PER_PERSON)
    return people.sum(1) - people[:, Part.SEAT]


def person_masks(owner: np.ndarray, count: int) -> np.ndarray:
    """(count, H, W) bool masks of the pixels that each person owns; a stool is not part of the person on it."""
    person, part = owner // PARTS_PER_PERSON, owner % PARTS_PER_PERSON
    person = np.where((owner >= 0) & (part != Part.SEAT), person, BACKGROUND)
    return person[None] == np.arange(count)[:, None, None]


def keypoint_visibility(actor: scenes.Actor, index: int, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (17, 2) in hundredths of a pixel and their COCO codes (17,).

    A keypoint outside of the picture is (0, 0) with code 0. Inside it has code 2 where the topmost surface at its
    pixel is one that shows this keypoint (``Figure.surfaces``), and 1 where anything else is: another person, an
    object, or another part of the own body.
    """
    height, width = owner.shape
    points = np.round(actor.figure.keypoints, 2)
    visible = np.zeros(len(points), np.int64)
    inside = (points[:, 0] >= 0) & (points[:, 0] < width) & (points[:, 1] >= 0) & (points[:, 1] < height)
    for k in np.flatnonzero(inside):
        on_top = int(owner[int(points[k, 1]), int(points[k, 0])]) - index * PARTS_PER_PERSON
        visible[k] = 2 if on_top in actor.figure.surfaces[k] else 1
    points[~inside] = 0
    return points, visible


def rle_from_mask(mask: np.ndarray) -> dict[str, list[int]]:
    """COCO's uncompressed run lengths of a (H, W) mask: column by column, starting with zeros."""
    flat = mask.astype(bool).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]]))
    counts = ([0] if flat.size and flat[0] else []) + [int(run) for run in runs]
    return {"size": [int(mask.shape[0]), int(mask.shape[1])], "counts": counts}


def _mask_fields(mask: np.ndarray) -> dict[str, Any]:
    """``bbox``, ``area`` and ``segmentation`` of a mask, as in COCO."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = int(xs[0]), int(ys[0])
    box = [x, y, int(xs[-1]) + 1 - x, int(ys[-1]) + 1 - y]
    return {"bbox": box, "area": int(mask.sum()), "segmentation": rle_from_mask(mask)}


def annotate(scene: Scene, owner: np.ndarray) -> list[dict[str, Any]]:
    """COCO annotations (without ids) of a painted scene: one per person, one per crowd."""
    actors = scene.actors
    masks = person_masks(owner, len(actors))
    annotations = []
    for index, (actor, mask) in enumerate(zip(actors, masks)):
        if actor.role == "crowd" or not mask.any():
            continue
        points, visible = keypoint_visibility(actor, index, owner)
        if actor.role == "unlabelled":
            points, visible = np.zeros_like(points), np.zeros_like(visible)
        flat = [v for (x, y), code in zip(points.tolist(), visible.tolist()) for v in (round(x, 2), round(y, 2), code)]
        fields = {"keypoints": flat, "num_keypoints": int((visible > 0).sum()), "iscrowd": 0, "category_id": 1}
        annotations.append({**_mask_fields(mask), **fields})
    crowd = np.array([actor.role == "crowd" for actor in actors], bool)
    if crowd.any() and masks[crowd].any():
        fields = {"keypoints": [0] * 51, "num_keypoints": 0, "iscrowd": 1, "category_id": 1}
        annotations.append({**_mask_fields(masks[crowd].any(0)), **fields})
    return annotations


def _finish(rng: np.random.Generator, planes: np.ndarray) -> np.ndarray:
    """What a camera adds: tint, contrast, noise, blur. Takes (3, H, W) float32, returns (H, W, 3) uint8."""
    gain, shift = rng.uniform(0.85, 1.1), rng.uniform(-15, 15)
    tint = planar(rng.uniform(0.93, 1.07, 3) * gain)
    planes = planes * tint + (128 * (1 - tint) + float(shift))
    planes += rng.standard_normal(planes.shape[1:], np.float32) * float(rng.uniform(1, 5))
    img = np.ascontiguousarray(np.clip(planes, 0, 255).astype(np.uint8).transpose(1, 2, 0))
    return cv2.GaussianBlur(img, (3, 3), float(rng.uniform(0.3, 0.6))) if rng.random() < 0.5 else img


def render_crowd(
    rng: np.random.Generator, options: CrowdOptions | None = None, **changes: Any
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Draw one picture of people.

    Args:
        rng: The only source of randomness.
        options: What the picture is like; default :class:`CrowdOptions`.
        **changes: Fields of :class:`CrowdOptions` that differ from ``options``.

    Returns:
        The picture (H, W, 3) uint8 BGR and its annotations in COCO's format, without ``id`` and ``image_id``.
    """
    scene, painting = render_scene(rng, replace(options or CrowdOptions(), **changes))
    return _finish(rng, painting.canvas.planes), annotate(scene, painting.canvas.owner)


def render_sequence(
    rng: np.random.Generator, options: CrowdOptions, frames: int, fps: float
) -> Iterator[tuple[np.ndarray, list[dict[str, Any]]]]:
    """Draw people who move before a background that does not.

    Args:
        rng: The only source of randomness.
        options: What the pictures are like. All of them have people, and none a crowd region.
        frames: How many pictures.
        fps: Pictures a second.

    Yields:
        Each picture (H, W, 3) uint8 BGR and its annotations as of :func:`render_crowd`, with ``track_id``. A person of whom
        less is seen than ``least_shown`` has a box and a mask, but no labelled keypoint.
    """
    still = sample_scene(rng, options, people=False)
    low, high = options.people
    nearness = np.sort(rng.random(low + int((high + 1 - low) * rng.random() ** _FEWER)))
    movers = [random_mover(rng, options.size, options.heights, float(near), options.variety) for near in nearness]
    noise = int(rng.integers(2**32))
    for frame in range(frames):
        things = [*still.things, *(mover.at(frame / fps) for mover in movers)]
        scene = still._replace(things=sorted(things, key=lambda thing: thing.nearness))
        painting = paint_scene(scene)
        annotations = annotate(scene, painting.canvas.owner)
        for annotation, person in zip(annotations, np.flatnonzero(painting.seen).tolist()):
            annotation["track_id"] = person
            if painting.seen[person] < options.least_shown * painting.whole[person]:
                annotation.update(keypoints=[0] * 51, num_keypoints=0)
        yield _finish(np.random.default_rng(noise), painting.canvas.planes), annotations


def render_scene(rng: np.random.Generator, options: CrowdOptions) -> tuple[Scene, Painting]:
    """Draw a scene and paint it; people who are nearly hidden are taken out of it, and it is painted again.

    Raises:
        UsageError: If there is no room for as many people as asked for.
    """
    empty = rng.random() < options.person_free
    for _ in range(_SCENES):
        scene = sample_scene(rng, options, people=not empty)
        painting = paint_scene(scene)
        while hidden := _hidden(scene, painting, options.least_shown):
            scene = scene._replace(things=[thing for thing in scene.things if id(thing) not in hidden])
            painting = paint_scene(scene)
        if empty or sum(actor.role != "crowd" for actor in scene.actors) >= options.people[0]:
            return scene, painting
    raise UsageError(
        f"no room for {options.people[0]} people of whom {options.least_shown:.0%} can be seen in {options.size} pixels; "
        "ask for fewer or smaller ones, or lower least_shown"
    )


def _hidden(scene: Scene, painting: Painting, least_shown: float) -> set[int]:
    """Identities of the people of whom too little is seen to be labelled."""
    least = np.maximum(_LEAST_AREA, least_shown * painting.whole)
    return {
        id(actor)
        for actor, seen, enough in zip(scene.actors, painting.seen, least)
        if actor.role != "crowd" and seen < enough
    }


class Synthesis(NamedTuple):
    """What :func:`synthesize_crowd` made or found."""

    out_dir: Path
    kept: bool  # True where the same data were there already
    statistics: dict[str, dict[str, float]]  # per split


def synthesize_crowd(
    out_dir: str | os.PathLike,
    *,
    train: int = 800,
    val: int = 100,
    size: tuple[int, int] = (192, 192),
    seed: int = 0,
    people: tuple[int, int] = (2, 8),
    workers: int = 1,
    frames: int = 0,
    fps: float = DEFAULT_FPS,
    progress: bool = True,
    **options: Any,
) -> Synthesis:
    """Write a data set of synthetic crowds in COCO keypoints format.

    Makes ``out_dir/{train,val}/*.jpg``, ``out_dir/annotations/{train,val}.json`` and ``out_dir/synthetic.json``, all
    at once when everything is done: an interrupted run leaves nothing behind under that name.

    Args:
        out_dir: Folder to make. Where it holds the output of the same call already, that is kept.
        train: Number of training pictures.
        val: Number of validation pictures.
        size: (W, H) in pixels.
        seed: Picture i of a split depends on the seed, the split's name and i alone.
        people: Fewest and most people in a picture that has people.
        workers: Number of processes; the result does not depend on it.
        frames: If given, sequences of so many pictures are made, in folders of their own, in which people move; ``train``
            and ``val`` then count sequences. Images have ``video_id`` and ``frame_id``, annotations ``track_id``.
        fps: Pictures a second of a sequence.
        progress: Show a progress bar.
        **options: Further fields of :class:`CrowdOptions`.

    Raises:
        UsageError: If an option is wrong or ``out_dir`` holds something else.
    """
    try:
        crowd = CrowdOptions(size=tuple(size), people=tuple(people), **options)
    except TypeError as error:
        raise UsageError(f"synthesize: {error}") from None
    counts = {"train": int(train), "val": int(val)}
    if min(counts.values()) < 0 or not any(counts.values()):
        raise UsageError(f"synthesize: asked for {train} training and {val} validation pictures")
    if seed < 0:
        raise UsageError(f"synthesize: the seed must not be negative, found {seed}")
    if frames < 0 or fps <= 0:
        raise UsageError(f"synthesize: asked for sequences of {frames} pictures at {fps} a second")
    motion = {"frames": int(frames), "fps": float(fps)} if frames else {}
    parameters = {"version": GENERATOR_VERSION, "seed": int(seed), **counts, **motion, **asdict(crowd)}
    parameters = json.loads(json.dumps(parameters))
    out = Path(out_dir)
    kept = _existing(out, parameters)
    if kept is not None:
        return kept
    statistics = {}
    with _folder_at_once(out) as folder:
        for split, count in counts.items():
            work = partial(_write_picture, folder / split, split, crowd, int(seed))
            if frames:
                work = partial(_write_sequence, folder / split, split, crowd, int(seed), int(frames), float(fps))
            statistics[split] = _write_split(folder, split, count, crowd.size, work, workers, progress)
        metadata = {"what": "yolox_pose synthetic crowds", "parameters": parameters, "statistics": statistics}
        (folder / METADATA_NAME).write_text(json.dumps(metadata, indent=2) + "\n")
    return Synthesis(out, False, statistics)


@contextmanager
def _folder_at_once(out: Path) -> Iterator[Path]:
    """A scratch folder beside ``out`` that takes its name at the end, or goes away if anything goes wrong before."""
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield scratch
        if out.exists():  # an empty folder, which not every system replaces by renaming
            out.rmdir()
        scratch.chmod(0o755)
        scratch.rename(out)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _existing(out: Path, parameters: dict[str, Any]) -> Synthesis | None:
    """The data set that is there already, None if there is nothing; anything else is an error."""
    if not out.exists():
        return None
    if not out.is_dir():
        raise UsageError(f"{out} is a file; give the name of a folder to make")
    if not any(out.iterdir()):
        return None
    advice = "give another folder or delete this one"
    try:
        metadata = json.loads((out / METADATA_NAME).read_text())
        found, statistics = metadata["parameters"], metadata["statistics"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{out} holds something that synthesize did not write; {advice}") from None
    if found != parameters:
        differing = sorted(key for key in {*found, *parameters} if found.get(key) != parameters.get(key))
        raise UsageError(f"{out} holds synthetic data made with other {', '.join(differing)}; {advice}")
    for split in ("train", "val"):
        count, wanted = len(list((out / split).rglob("*.jpg"))), parameters[split] * parameters.get("frames", 1)
        if count != wanted or not (out / "annotations" / f"{split}.json").is_file():
            raise UsageError(f"{out} is incomplete: {count} of {wanted} {split} pictures; {advice}")
    return Synthesis(out, True, statistics)


def picture_rng(seed: int, split: str, index: int) -> np.random.Generator:
    """The generator of picture ``index`` of a split."""
    return np.random.default_rng([seed, *split.encode(), index])


class _Picture(NamedTuple):
    """A written picture."""

    fields: dict[str, Any]  # of its entry under ``images``
    annotations: list[dict[str, Any]]


def _write_jpeg(path: Path, img: np.ndarray) -> None:
    ok, data = cv2.imencode(".jpg", img, [cv2.IMWRITE_JPEG_QUALITY, 95])
    if not ok:
        raise RuntimeError(f"OpenCV could not encode {path.name}")
    path.write_bytes(data.tobytes())


def _write_picture(folder: Path, split: str, options: CrowdOptions, seed: int, index: int) -> list[_Picture]:
    img, annotations = render_crowd(picture_rng(seed, split, index), options)
    name = f"{index:06d}.jpg"
    _write_jpeg(folder / name, img)
    return [_Picture({"file_name": name}, annotations)]


def _write_sequence(
    folder: Path, split: str, options: CrowdOptions, seed: int, frames: int, fps: float, index: int
) -> list[_Picture]:
    (folder / f"{index:06d}").mkdir()
    written = []
    rendered = render_sequence(picture_rng(seed, split, index), options, frames, fps)
    for frame, (img, found) in enumerate(rendered):
        name = f"{index:06d}/{frame:06d}.jpg"
        _write_jpeg(folder / name, img)
        written.append(_Picture({"file_name": name, "video_id": index + 1, "frame_id": frame}, found))
    return written


def _write_split(
    root: Path,
    split: str,
    count: int,
    size: tuple[int, int],
    work: Callable[[int], list[_Picture]],
    workers: int,
    progress: bool,
) -> dict[str, float]:
    """Write the pictures and the annotation file of one split; returns its statistics."""
    (root / split).mkdir()
    (root / "annotations").mkdir(exist_ok=True)
    results = track(_map(work, range(count), workers), f"{split} pictures", total=count, enabled=progress)
    images, annotations = [], []
    for picture in (picture for pictures in results for picture in pictures):
        image_id = len(images) + 1
        images.append({"id": image_id, **picture.fields, "width": size[0], "height": size[1]})
        for annotation in picture.annotations:
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **annotation})
    skeleton = [[a + 1, b + 1] for a, b in COCO_PERSON.links]
    person = {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(COCO_PERSON.names)}
    dataset = {
        "info": {"description": f"yolox_pose synthetic crowds, {split}", "version": str(GENERATOR_VERSION)},
        "images": images,
        "annotations": annotations,
        "categories": [{**person, "skeleton": skeleton}],
    }
    (root / "annotations" / f"{split}.json").write_text(json.dumps(dataset))
    return crowd_statistics(dataset)


def _map(work: Callable[[int], Any], items: Iterable[int], workers: int) -> Iterable[Any]:
    """``work`` over ``items`` in order, in this process or in several."""
    if workers <= 1:
        yield from map(work, items)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(work, items, chunksize=8)


def crowd_statistics(dataset: dict[str, Any]) -> dict[str, float]:
    """How many people, how many of them hidden in part, how many keypoints of each visibility."""
    people = [a for a in dataset["annotations"] if not a["iscrowd"]]
    labelled = [a for a in people if a["num_keypoints"]]
    codes = np.array([a["keypoints"][2::3] for a in labelled], int).reshape(-1, 17)
    with_people = len({a["image_id"] for a in people})
    images = len(dataset["images"])
    return {
        "images": images,
        "images_without_people": images - len({a["image_id"] for a in dataset["annotations"]}),
        "people": len(people),
        "people_per_image_with_people": round(len(people) / max(with_people, 1), 3),
        "people_without_keypoints": len(people) - len(labelled),
        "crowd_regions": len(dataset["annotations"]) - len(people),
        "share_of_people_with_occluded_joints": round(float((codes == 1).any(1).mean()) if len(codes) else 0.0, 4),
        "share_of_keypoints_visible": round(float((codes == 2).mean()) if len(codes) else 0.0, 4),
        "share_of_keypoints_occluded": round(float((codes == 1).mean()) if len(codes) else 0.0, 4),
        "share_of_keypoints_outside": round(float((codes == 0).mean()) if len(codes) else 0.0, 4),
    }
