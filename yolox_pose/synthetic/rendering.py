"""Random scenes of people and objects, painted as single pictures or as sequences.

All random numbers come from the generator that is passed in, so that a picture depends on nothing else.

Shape letters: P people, H and W of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np

from yolox_pose.errors import UsageError
from yolox_pose.synthetic import scene as scenes
from yolox_pose.synthetic.annotation import annotate, owned_areas, unlabelled_fields
from yolox_pose.synthetic.figure import paint_figure
from yolox_pose.synthetic.motion import random_mover
from yolox_pose.synthetic.options import CrowdOptions
from yolox_pose.synthetic.paint import Canvas, planar

PROP = -2
"""Owner of a pixel on an object in front of the background."""

_MIN_VISIBLE_AREA = 40
"""People with fewer visible pixels are removed from the scene."""
_CROWD_FIGURES = (6, 12)
"""Range of the number of figures in a crowd region."""
_COUNT_POWER = 1.4
"""Exponent of the uniform number that a number of people is drawn from: above 1, small numbers are more frequent."""
_MAX_COLUMNS = 24
"""Number of random places that a person chooses from without occlusion."""
_MAX_SCENES = 30
"""Number of scenes that are drawn before giving up on the requested number of people."""
_DISTANCE = 0.2
"""Half the distance that people keep from each other, as a fraction of their height."""


class Scene(NamedTuple):
    """Content of a picture.

    Attributes:
        background: Background of shape (3, H, W), float32.
        things: People and objects from the farthest to the nearest.
        light: Direction of the light, from -1 (left) to 1 (right).
    """

    background: np.ndarray
    things: list[scenes.Actor | scenes.Prop]
    light: float

    @property
    def actors(self) -> list[scenes.Actor]:
        """People in the order in which they are painted and numbered."""
        return [thing for thing in self.things if isinstance(thing, scenes.Actor)]


class Painting(NamedTuple):
    """A painted scene.

    Attributes:
        canvas: The picture and its owner map.
        whole: Pixels of each person before nearer things were painted over it, of shape (P,).
        seen: Visible pixels of each person in the finished picture, of shape (P,).
    """

    canvas: Canvas
    whole: np.ndarray
    seen: np.ndarray


def picture_rng(seed: int, split: str, index: int) -> np.random.Generator:
    """Return the random generator of picture ``index`` of a split."""
    return np.random.default_rng([seed, *split.encode(), index])


def render_crowd(
    rng: np.random.Generator, options: CrowdOptions = CrowdOptions()
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Draw a picture of people.

    Args:
        rng: Source of all random numbers.
        options: Settings of the picture.

    Returns:
        The (H, W, 3) uint8 BGR picture and its COCO annotations, without ``id`` and ``image_id``.

    Raises:
        UsageError: If there is no room for the requested number of people.
    """
    scene, painting = render_scene(rng, options)
    return _develop(rng, painting.canvas.planes), annotate(scene.actors, painting.canvas.owner)


def render_sequence(
    rng: np.random.Generator, options: CrowdOptions, frames: int, fps: float
) -> Iterator[tuple[np.ndarray, list[dict[str, Any]]]]:
    """Draw people who move in front of a background that does not.

    Every picture has people, and none has a crowd region.

    Args:
        rng: Source of all random numbers.
        options: Settings of the pictures.
        frames: Number of pictures.
        fps: Pictures per second.

    Yields:
        Each (H, W, 3) uint8 BGR picture and its annotations as from :func:`render_crowd`, with a ``track_id``. A person
        whose visible fraction is below ``least_shown`` has a box and a mask, but no labelled keypoints.
    """
    # Draw the background, the objects and the people with their motion
    still = sample_scene(rng, options, people=False)
    nearness = np.sort(rng.random(_random_count(rng, options)))
    movers = [random_mover(rng, options.size, options.heights, float(near), options.variety) for near in nearness]
    noise_seed = int(rng.integers(2**32))

    for frame in range(frames):
        # Paint everybody at the time of the frame
        things = [*still.things, *(mover.at(frame / fps) for mover in movers)]
        scene = still._replace(things=sorted(things, key=lambda thing: thing.nearness))
        painting = paint_scene(scene)

        # Add track ids, and drop the keypoints of people who are mostly hidden
        annotations = annotate(scene.actors, painting.canvas.owner)
        for annotation, person in zip(annotations, np.flatnonzero(painting.seen).tolist()):
            annotation["track_id"] = person
            if painting.seen[person] < options.least_shown * painting.whole[person]:
                annotation.update(unlabelled_fields())
        yield _develop(np.random.default_rng(noise_seed), painting.canvas.planes), annotations


def render_scene(rng: np.random.Generator, options: CrowdOptions) -> tuple[Scene, Painting]:
    """Draw and paint a scene. People who are nearly hidden are removed, and the scene is painted again.

    Raises:
        UsageError: If there is no room for the requested number of people.
    """
    empty = rng.random() < options.person_free
    for _ in range(_MAX_SCENES):
        scene = sample_scene(rng, options, people=not empty)
        painting = paint_scene(scene)
        while hidden := _find_hidden(scene, painting, options.least_shown):
            scene = scene._replace(things=[thing for thing in scene.things if id(thing) not in hidden])
            painting = paint_scene(scene)
        if empty or sum(actor.role != "crowd" for actor in scene.actors) >= options.people[0]:
            return scene, painting
    raise UsageError(
        f"no room for {options.people[0]} people with a visible fraction of {options.least_shown:.0%} in "
        f"{options.size} pixels; ask for fewer or smaller people, or lower least_shown"
    )


def sample_scene(rng: np.random.Generator, options: CrowdOptions, *, people: bool = True) -> Scene:
    """Draw a background, objects and, with ``people``, people."""
    canvas = Canvas(scenes.random_background(rng, options.size))
    scenes.add_clutter(rng, canvas, int(rng.poisson(options.clutter)))
    light = float(rng.uniform(-1, 1))
    num_props = rng.poisson(1.2 * options.occlusion if people else 2)
    things: list[scenes.Actor | scenes.Prop] = [_random_prop(rng, options) for _ in range(num_props)]
    if people:
        things += _place_people(rng, options, _random_count(rng, options))
        if rng.random() < options.crowd_regions:
            things += _random_crowd(rng, options)
    return Scene(canvas.planes, sorted(things, key=lambda thing: thing.nearness), light)


def paint_scene(scene: Scene) -> Painting:
    """Paint everything from the farthest to the nearest thing; people are numbered in that order."""
    canvas = Canvas(scene.background)

    # Shadows lie below everything else
    for actor in scene.actors:
        (ax, ay), (bx, by) = actor.figure.feet
        height = actor.figure.height
        canvas.shadow(((ax + bx) / 2, (ay + by) / 2), 0.22 * height, 0.07 * height, 0.55)

    # Paint the things, and count the pixels of each person right after painting it
    whole: list[int] = []
    for thing in scene.things:
        if isinstance(thing, scenes.Prop):
            for shape, color in thing.shapes:
                canvas.fill(shape, color, PROP)
        else:
            paint_figure(canvas, thing.figure, len(whole), scene.light)
            whole.append(int(owned_areas(canvas.owner, len(whole) + 1)[-1]))
    return Painting(canvas, np.array(whole, np.int64), owned_areas(canvas.owner, len(whole)))


def _random_count(rng: np.random.Generator, options: CrowdOptions) -> int:
    """Draw a number of people."""
    low, high = options.people
    return low + int((high + 1 - low) * rng.random() ** _COUNT_POWER)


def _random_prop(rng: np.random.Generator, options: CrowdOptions) -> scenes.Prop:
    """Draw an object at a random distance."""
    nearness = float(rng.uniform(0, 1.1))
    return scenes.random_prop(rng, options.size, nearness, scenes.ground_line(options.size, nearness))


def _place_people(rng: np.random.Generator, options: CrowdOptions, count: int) -> list[scenes.Actor]:
    """Draw people side by side: each, from the nearest on, takes the emptiest of some random columns."""
    width, height = options.size
    num_columns = 1 + round(_MAX_COLUMNS * (1 - options.occlusion) ** 2)
    placed: list[scenes.Actor] = []
    for nearness in np.sort(rng.random(count))[::-1]:
        # Choose the column with the smallest overlap with the people placed so far
        columns = rng.uniform(0.05, 0.95, num_columns) * width
        tall = options.heights[0] + (options.heights[1] - options.heights[0]) * nearness
        crowding = [
            sum(
                max(0.0, _DISTANCE * (tall * height + other.figure.height) - abs(x - _column(other)))
                for other in placed
            )
            for x in columns
        ]
        x = float(columns[int(np.argmin(crowding))])

        # Draw the person
        actor = scenes.random_actor(rng, x, options.size, options.heights, float(nearness), options.variety)
        role = "unlabelled" if rng.random() < options.unlabelled else "person"
        placed.append(replace(actor, role=role))
    return placed


def _column(actor: scenes.Actor) -> float:
    """Return the column of a person: the center of the hips."""
    return float(actor.figure.keypoints[11:13, 0].mean())


def _random_crowd(rng: np.random.Generator, options: CrowdOptions) -> list[scenes.Actor]:
    """Draw small figures close together, farther away than all other people."""
    width = options.size[0]
    middle, spread = rng.uniform(0.2, 0.8) * width, rng.uniform(0.1, 0.2) * width
    small = (0.5 * options.heights[0], 0.6 * options.heights[0])
    crowd = []
    for nearness in np.sort(rng.uniform(-0.4, -0.3, rng.integers(*_CROWD_FIGURES))):
        x = float(middle + rng.uniform(-1, 1) * spread)
        actor = scenes.random_actor(rng, x, options.size, small, float(nearness), options.variety)
        crowd.append(replace(actor, role="crowd"))
    return crowd


def _find_hidden(scene: Scene, painting: Painting, least_shown: float) -> set[int]:
    """Return the ``id()`` of each person whose visible part is too small to be labelled."""
    min_areas = np.maximum(_MIN_VISIBLE_AREA, least_shown * painting.whole)
    return {
        id(actor)
        for actor, area, min_area in zip(scene.actors, painting.seen, min_areas)
        if actor.role != "crowd" and area < min_area
    }


def _develop(rng: np.random.Generator, planes: np.ndarray) -> np.ndarray:
    """Add the tint, contrast, noise and blur of a camera: (3, H, W) float32 to (H, W, 3) uint8."""
    gain, shift = rng.uniform(0.85, 1.1), rng.uniform(-15, 15)
    tint = planar(rng.uniform(0.93, 1.07, 3) * gain)
    planes = planes * tint + (128 * (1 - tint) + float(shift))
    planes += rng.standard_normal(planes.shape[1:], np.float32) * float(rng.uniform(1, 5))
    img = np.ascontiguousarray(np.clip(planes, 0, 255).astype(np.uint8).transpose(1, 2, 0))
    return cv2.GaussianBlur(img, (3, 3), float(rng.uniform(0.3, 0.6))) if rng.random() < 0.5 else img
