"""Random poses, clothes, objects and backgrounds.

All random numbers come from the generator that is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from yolox_pose.synthetic.body import Limb, Look, Pose
from yolox_pose.synthetic.figure import Figure, build_figure
from yolox_pose.synthetic.paint import (
    Canvas,
    Capsule,
    Color,
    Ellipse,
    Material,
    Shape,
    Slab,
    planar,
    smooth_noise,
)

SKINS: tuple[Color, ...] = (
    (190, 214, 245),
    (160, 190, 230),
    (120, 160, 210),
    (85, 125, 180),
    (55, 85, 135),
    (38, 58, 95),
)
HAIRS: tuple[Color, ...] = ((25, 22, 20), (35, 50, 75), (45, 80, 130), (90, 160, 205), (40, 70, 170), (170, 170, 172))

POSES = ("standing", "walking", "running", "arms raised", "waving", "sitting", "hands on hips", "bending", "reaching")
_POSE_PROBABILITIES = (0.22, 0.2, 0.08, 0.12, 0.08, 0.12, 0.07, 0.04, 0.07)
_PLAIN_YAW = 0.25
"""Standard deviation in radians of the facing direction of people who stand and face the viewer."""
_PATTERNS = ("plain", "stripes", "bars", "checks", "dots")


def random_color(rng: np.random.Generator, low: float = 20, high: float = 235) -> Color:
    """Draw a BGR color, more often saturated than gray."""
    color = rng.uniform(low, high, 3)
    gray = rng.random() < 0.25
    return tuple(float(c) for c in (np.full(3, color.mean()) + 0.2 * (color - color.mean()) if gray else color))  # type: ignore[return-value]


def random_look(rng: np.random.Generator) -> Look:
    """Draw build, skin, hair and clothes."""
    tone = float(rng.uniform(0, len(SKINS) - 1))
    low, part = int(tone), tone - int(tone)
    skin = tuple((1 - part) * np.array(SKINS[low]) + part * np.array(SKINS[min(low + 1, len(SKINS) - 1)]))
    shirt = Material(
        random_color(rng),
        random_color(rng),
        str(rng.choice(_PATTERNS, p=(0.5, 0.2, 0.1, 0.12, 0.08))),
        float(rng.uniform(3, 8)),
    )
    trousers = Material(
        random_color(rng, 15, 170),
        random_color(rng),
        "plain" if rng.random() < 0.85 else "checks",
        float(rng.uniform(4, 8)),
    )
    skirt = bool(rng.random() < 0.15)
    return Look(
        skin=skin,
        hair=HAIRS[rng.integers(len(HAIRS))],
        shirt=shirt,
        trousers=trousers,
        shoes=random_color(rng, 10, 200),
        build=float(rng.uniform(0.85, 1.25)),
        head=float(rng.uniform(1.0, 1.25)),
        sleeve=float(rng.choice((0.0, 0.3, 0.45, 1.0), p=(0.1, 0.2, 0.3, 0.4))),
        legwear=0.0 if skirt else float(rng.choice((0.3, 0.5, 1.0), p=(0.15, 0.1, 0.75))),
        hair_style=str(rng.choice(("short", "long", "bald"), p=(0.62, 0.3, 0.08))),
        hat=random_color(rng) if rng.random() < 0.12 else None,
        backpack=random_color(rng) if rng.random() < 0.12 else None,
        skirt=skirt,
    )


def _random_yaw(rng: np.random.Generator) -> float:
    """Draw a facing direction: mostly toward the viewer, often sideways, sometimes away."""
    kind = rng.random()
    if kind < 0.55:
        return float(rng.normal(0, 0.35))
    if kind < 0.8:
        return float(rng.choice((-1, 1)) * rng.normal(np.pi / 2, 0.3))
    return float(np.pi + rng.normal(0, 0.35))


def random_pose(rng: np.random.Generator, variety: float = 1.0) -> Pose:
    """Draw a pose of a kind in :data:`POSES`; with probability ``1 - variety`` it stands and faces the viewer."""
    plain = rng.random() >= variety
    kind = "standing" if plain else str(rng.choice(POSES, p=_POSE_PROBABILITIES))
    arms = [Limb(rng.normal(0, 0.12), rng.uniform(0.08, 0.35), abs(rng.normal(0.2, 0.2))) for _ in range(2)]
    legs = [Limb(rng.normal(0, 0.06), rng.uniform(0.0, 0.14), abs(rng.normal(0, 0.06))) for _ in range(2)]
    lean = rng.normal(0.03, 0.04)
    if kind in ("walking", "running"):
        arms, legs = _stride(rng, kind == "running")
        lean += 0.15 * (kind == "running")
    elif kind == "sitting":
        legs = [Limb(rng.uniform(1.25, 1.6), rng.uniform(0.02, 0.25), rng.uniform(1.2, 1.7)) for _ in range(2)]
        arms = [Limb(rng.uniform(0.2, 0.8), rng.uniform(0.05, 0.3), rng.uniform(0.3, 1.2)) for _ in range(2)]
    elif kind == "bending":
        lean += rng.uniform(0.4, 0.9)
        arms = [Limb(rng.uniform(0.4, 1.0), rng.uniform(0.05, 0.3), rng.uniform(0, 0.5)) for _ in range(2)]
        legs = [Limb(rng.uniform(0.1, 0.4), rng.uniform(0, 0.15), rng.uniform(0.2, 0.7)) for _ in range(2)]
    else:
        _move_arms(rng, kind, arms)
    return Pose(
        arms=(arms[0], arms[1]),
        legs=(legs[0], legs[1]),
        yaw=float(rng.normal(0, _PLAIN_YAW)) if plain else _random_yaw(rng),
        lean=float(lean),
        tilt=float(rng.normal(0, 0.05)),
        head_yaw=float(np.clip(rng.normal(0, 0.3), -0.8, 0.8)),
        nod=float(rng.normal(0.08, 0.12)),
        kind=kind,
    )


def _stride(rng: np.random.Generator, running: bool) -> tuple[list[Limb], list[Limb]]:
    """Draw arms and legs that swing in opposite directions."""
    swing = rng.uniform(0.5, 0.8) if running else rng.uniform(0.25, 0.5)
    sign = rng.choice((-1, 1))
    bend = (1.2, 1.7) if running else (0.1, 0.7)
    arms = [Limb(-s * swing * 0.9, rng.uniform(0.05, 0.2), rng.uniform(*bend)) for s in (sign, -sign)]
    legs = [
        Limb(
            s * swing + 0.08,
            rng.uniform(0, 0.06),
            rng.uniform(0.1, 0.3) + (0.0 if s > 0 else swing * (1.2 if running else 0.5)),
        )
        for s in (sign, -sign)
    ]
    return arms, legs


def _move_arms(rng: np.random.Generator, kind: str, arms: list[Limb]) -> None:
    """Replace one or both arms for the kinds of pose that differ in the arms."""
    which = int(rng.integers(2))
    if kind == "arms raised":
        for i in range(2):
            arms[i] = Limb(rng.normal(0, 0.3), rng.uniform(1.6, 2.8), rng.uniform(0, 0.9), -0.3)
    elif kind == "waving":
        arms[which] = Limb(
            rng.normal(0.2, 0.2), rng.uniform(1.2, 1.8), rng.uniform(0.9, 1.7), float(rng.choice((0.0, 0.6)))
        )
    elif kind == "hands on hips":
        for i in range(2):
            arms[i] = Limb(-0.2 + rng.normal(0, 0.1), rng.uniform(0.6, 0.9), rng.uniform(1.3, 1.7), 1.0)
    elif kind == "reaching":
        arms[which] = Limb(rng.uniform(0.9, 1.7), rng.uniform(0, 0.4), rng.uniform(0, 0.6))
        if rng.random() < 0.5:
            arms[1 - which] = Limb(rng.uniform(0.9, 1.7), rng.uniform(0, 0.4), rng.uniform(0, 0.6))


@dataclass(frozen=True)
class Actor:
    """Person of a scene.

    Args:
        nearness: Distance from the viewer, from 0 (far) to 1 (near).
        figure: Painted parts and keypoints.
        role: ``person``, ``unlabelled`` (box without keypoints) or ``crowd`` (inside an ``iscrowd`` region).
    """

    nearness: float
    figure: Figure
    role: str = "person"


@dataclass(frozen=True)
class Prop:
    """Object of a scene that can hide people.

    Args:
        nearness: Distance from the viewer, from 0 (far) to 1 (near).
        shapes: Shapes with their colors, painted in order.
    """

    nearness: float
    shapes: tuple[tuple[Shape, Material | Color], ...]


def _muted(rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """Draw a grayish color (3, 1, 1) for walls, skies and floors."""
    color = rng.uniform(low, high, 3)
    return planar(color.mean() + rng.uniform(0.1, 0.5) * (color - color.mean()))


def random_background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Draw a (3, H, W) float32 wall or sky above a ground; ``size`` is (W, H)."""
    width, height = size
    horizon = int(height * rng.uniform(0.2, 0.6))
    planes = np.empty((3, height, width), np.float32)
    top, bottom, ground = (_muted(rng, 40, 230) for _ in range(3))
    planes[:, :horizon] = top + (bottom - top) * np.linspace(0, 0.5, horizon, dtype=np.float32)[:, None]
    planes[:, horizon:] = ground * np.linspace(0.8, 1.1, height - horizon, dtype=np.float32)[:, None]
    if rng.random() < 0.5:
        _tile(rng, planes[:, :horizon], bricks=True)
    if rng.random() < 0.5:
        _tile(rng, planes[:, horizon:], bricks=False)
    for cells, strength in ((4, 14), (16, 12), (60, 10)):
        planes += smooth_noise(rng, size, cells) * float(strength * rng.uniform(0.3, 1.3))
    return np.clip(planes, 0, 255, out=planes)


def _tile(rng: np.random.Generator, part: np.ndarray, *, bricks: bool) -> None:
    """Paint the dark joints of bricks, boards or floor tiles into part of a picture, in place."""
    height, width = part.shape[1:]
    if height < 4:
        return
    x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    step_y, step_x = rng.uniform(5, 20), rng.uniform(8, 40)
    if not bricks:  # floor: rows get wider toward the viewer, lines meet at the horizon
        y = np.sqrt(y / height) * height
        x = (x - width / 2) / (0.4 + np.arange(height, dtype=np.float32)[:, None] / height)
    row = np.floor(y / step_y)
    shifted = x + (row % 2) * np.float32(step_x / 2 if bricks else 0)
    joint = ((y % step_y) < 1.2) | ((shifted % step_x) < 1.2)
    part *= np.where(joint, np.float32(rng.uniform(0.6, 0.9)), np.float32(1))


def add_clutter(rng: np.random.Generator, canvas: Canvas, count: int) -> None:
    """Paint things behind all people: boxes, signs, balls, poles, trees, stones and limb-like rods."""
    height, width = canvas.owner.shape
    for _ in range(count):
        for shape, color in _random_thing(
            rng, rng.uniform(-0.05, 1.05) * width, rng.uniform(0.25, 0.95) * height, height
        ):
            canvas.fill(shape, color)


def _random_material(rng: np.random.Generator) -> Material:
    return Material(random_color(rng), random_color(rng), str(rng.choice(_PATTERNS)), float(rng.uniform(2, 8)))


Things = list[tuple[Shape, Material | Color]]
"""Shapes with their colors, painted in order."""


def _box(rng: np.random.Generator, x: float, y: float, unit: float) -> Things:
    """Draw a box or door."""
    w, h = rng.uniform(0.03, 0.16) * unit, rng.uniform(0.08, 0.4) * unit
    return [(Slab((x, y - h), (x, y), w, w, rng.uniform(0.5, 5)), _random_material(rng))]


def _ball_on_pole(rng: np.random.Generator, x: float, y: float, unit: float) -> Things:
    """Draw a balloon or lamp, whose round part resembles a head."""
    r = rng.uniform(0.02, 0.09) * unit
    pole = Capsule((x, y), (x, y - rng.uniform(2, 8) * r), 0.01 * unit, 0.01 * unit)
    return [(pole, random_color(rng)), (Ellipse(pole.b, r, r * rng.uniform(0.7, 1.3)), random_color(rng))]


def _tree(rng: np.random.Generator, x: float, y: float, unit: float) -> Things:
    h = rng.uniform(0.2, 0.6) * unit
    trunk = Capsule((x, y), (x + rng.normal(0, 0.03) * unit, y - h), 0.025 * unit, 0.012 * unit)
    b, g, r = rng.uniform(20, 60), rng.uniform(70, 150), rng.uniform(20, 90)
    crown: Things = []
    for _ in range(5):
        (dx, dy), size, shade = rng.normal(0, 0.07, 2).tolist(), rng.uniform(0.04, 0.1) * unit, rng.uniform(0.7, 1.2)
        blob = Ellipse((x + dx * unit, y - h + dy * unit), size, size)
        crown.append((blob, (b * shade, g * shade, r * shade)))
    return [(trunk, (40.0, 60.0, 85.0)), *crown]


def _rods(rng: np.random.Generator, x: float, y: float, unit: float) -> Things:
    """Draw rods in the patterns of clothes, joined at random, which resemble limbs."""
    rods: Things = []
    for _ in range(rng.integers(2, 6)):
        dx, dy = (rng.normal(0, 0.1, 2) * unit).tolist()
        r = rng.uniform(0.012, 0.05) * unit
        rods.append((Capsule((x, y), (x + dx, y + dy), r, r * rng.uniform(0.6, 1)), _random_material(rng)))
        x, y = x + dx, y + dy
    return rods


def _sign(rng: np.random.Generator, x: float, y: float, unit: float) -> Things:
    """Draw a sign or window with a frame."""
    w, h = (rng.uniform(0.04, 0.15, 2) * unit).tolist()
    top = y - 0.3 * unit
    frame = Slab((x, top - h), (x, top + h), w, w, 1.5)
    pane = Slab((x, top - 0.8 * h), (x, top + 0.8 * h), 0.8 * w, 0.8 * w, 1)
    return [(frame, random_color(rng)), (pane, _random_material(rng))]


def _stone(rng: np.random.Generator, x: float, y: float, unit: float) -> Things:
    r = rng.uniform(0.03, 0.1) * unit
    return [(Ellipse((x, y - r * 0.6), r * rng.uniform(0.8, 1.6), r, rng.normal(0, 0.2)), _random_material(rng))]


_THINGS = (_box, _ball_on_pole, _tree, _rods, _sign, _stone)


def _random_thing(rng: np.random.Generator, x: float, y: float, unit: float) -> Things:
    """Draw an object that stands on (x, y); its size scales with ``unit`` pixels."""
    return _THINGS[rng.integers(len(_THINGS))](rng, x, y, unit)


def random_prop(rng: np.random.Generator, size: tuple[int, int], nearness: float, foot_y: float) -> Prop:
    """Draw an object among the people; ``size`` is (W, H)."""
    width, height = size
    things = _random_thing(rng, float(rng.uniform(0, width)), foot_y, height * (0.4 + 0.4 * nearness))
    return Prop(nearness, tuple(things))


def random_actor(
    rng: np.random.Generator,
    x: float,
    size: tuple[int, int],
    heights: tuple[float, float],
    nearness: float,
    variety: float = 1.0,
) -> Actor:
    """Draw a person.

    Args:
        rng: Source of all random numbers.
        x: Column of the hips.
        size: (W, H) of the picture.
        heights: Standing heights of the farthest and the nearest people, as fractions of H.
        nearness: Distance from the viewer, from 0 (far) to 1 (near).
        variety: Probability of any pose; see :func:`random_pose`.
    """
    height = size[1]
    tall = (heights[0] + (heights[1] - heights[0]) * nearness) * height * rng.uniform(0.9, 1.1)
    foot_y = ground_line(size, nearness) + rng.normal(0, 0.015) * height
    pose, look = random_pose(rng, variety), random_look(rng)
    figure = build_figure(
        pose,
        look,
        height=float(tall),
        foot=(x, float(foot_y)),
        pitch=float(rng.uniform(0.05, 0.2)),
        seat=random_color(rng),
    )
    return Actor(nearness, figure)


def ground_line(size: tuple[int, int], nearness: float) -> float:
    """Return the row on which a person of this nearness stands."""
    return size[1] * (0.62 + 0.38 * nearness)
