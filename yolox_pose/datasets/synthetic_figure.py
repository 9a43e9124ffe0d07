"""One synthetic person: a posed body in three dimensions, its clothes, and the painted parts that make it up.

A body of height 1 is posed with joint angles, turned to a facing direction, seen from slightly above and projected
orthographically. Its parts are painted from the farthest to the nearest, so what hides what follows from depth alone.
Body frame: (lateral towards the person's left, up, forward). View frame: (right, up, towards the viewer).

Depends on numpy and cv2 alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from yolox_pose.datasets.synthetic_paint import Canvas, Capsule, Color, Ellipse, Material, Shape, Slab

PARTS_PER_PERSON = 64
"""The owner of a pixel on part ``p`` of person ``i`` is ``i * PARTS_PER_PERSON + p``."""


class Part(IntEnum):
    """What a painted surface of a person is."""

    TORSO = 0
    NECK = 1
    HEAD = 2
    HAIR = 3
    NOSE = 4
    L_EYE = 5
    R_EYE = 6
    L_EAR = 7
    R_EAR = 8
    L_UPPER_ARM = 9
    R_UPPER_ARM = 10
    L_FOREARM = 11
    R_FOREARM = 12
    L_HAND = 13
    R_HAND = 14
    L_THIGH = 15
    R_THIGH = 16
    L_SHIN = 17
    R_SHIN = 18
    L_FOOT = 19
    R_FOOT = 20
    SKIRT = 21
    BACKPACK = 22
    HAT = 23
    SEAT = 24


OWN_SURFACES: tuple[tuple[Part, ...], ...] = (
    (Part.NOSE,),
    (Part.L_EYE,),
    (Part.R_EYE,),
    (Part.L_EAR,),
    (Part.R_EAR,),
    (Part.L_UPPER_ARM,),
    (Part.R_UPPER_ARM,),
    (Part.L_UPPER_ARM, Part.L_FOREARM),
    (Part.R_UPPER_ARM, Part.R_FOREARM),
    (Part.L_FOREARM, Part.L_HAND),
    (Part.R_FOREARM, Part.R_HAND),
    (Part.L_THIGH,),
    (Part.R_THIGH,),
    (Part.L_THIGH, Part.L_SHIN),
    (Part.R_THIGH, Part.R_SHIN),
    (Part.L_SHIN, Part.L_FOOT),
    (Part.R_SHIN, Part.R_FOOT),
)
"""Per COCO keypoint, the parts whose surface shows it from any side."""

_FACE_DIRECTIONS = np.array(
    [[0.0, -0.10, 1.10], [0.40, 0.16, 0.90], [-0.40, 0.16, 0.90], [1.04, 0.0, -0.06], [-1.04, 0.0, -0.06]]
)
"""Nose, eyes and ears on the head, in half axes of the head."""

_FAR_SIDE = 0.7
"""A shoulder or hip shows on the trunk unless it lies more than 45 degrees (sine 0.7) round its far side."""

SKIN: tuple[Color, ...] = (
    (190, 214, 245),
    (160, 190, 230),
    (120, 160, 210),
    (85, 125, 180),
    (55, 85, 135),
    (38, 58, 95),
)
HAIR: tuple[Color, ...] = ((25, 22, 20), (35, 50, 75), (45, 80, 130), (90, 160, 205), (40, 70, 170), (170, 170, 172))


@dataclass(frozen=True)
class Limb:
    """Angles in radians of an arm or leg: swing forwards, spread outwards, bend of elbow or knee."""

    swing: float
    spread: float
    bend: float
    inward: float = 0.0  # direction in which the forearm bends: 0 forwards, 1 to the middle, -1 outwards


@dataclass(frozen=True)
class Pose:
    """Joint angles (radians) of a body and the direction that it faces.

    Args:
        yaw: Facing direction: 0 to the viewer, pi/2 to the picture's right, pi away.
        lean: Forward lean of the trunk. ``tilt`` is the sideways lean.
        head_yaw: Turn of the head against the trunk. ``nod`` is downwards.
    """

    arms: tuple[Limb, Limb]  # left, right
    legs: tuple[Limb, Limb]
    yaw: float = 0.0
    lean: float = 0.0
    tilt: float = 0.0
    head_yaw: float = 0.0
    nod: float = 0.0
    kind: str = "standing"


@dataclass(frozen=True)
class Look:
    """Build and clothes of a person."""

    skin: Color
    hair: Color
    shirt: Material
    trousers: Material
    shoes: Color
    build: float = 1.0  # width of the body against the average
    head: float = 1.0  # size of the head against the average
    sleeve: float = 0.5  # share of the arm that is covered: 0 none, .5 to the elbow, 1 all
    legwear: float = 1.0  # share of the leg that is covered
    hair_style: str = "short"  # short, long, bald
    hat: Color | None = None
    backpack: Color | None = None
    skirt: bool = False


@dataclass(frozen=True)
class Piece:
    """A part ready to paint: farther pieces (smaller depth) are painted first."""

    part: Part
    shape: Shape
    depth: float
    look: object  # Material, colour, or a callable that paints the piece itself
    cover: tuple[float, Material] | None = None  # clothes over the first share of the limb


@dataclass
class Figure:
    """A posed, dressed person in a picture.

    ``keypoints`` is (17, 2) in pixels; ``surfaces[k]`` are the parts on which keypoint k is seen (empty: it faces
    away); ``pieces`` are sorted back to front.
    """

    keypoints: np.ndarray
    surfaces: list[frozenset[Part]]
    pieces: list[Piece] = field(default_factory=list)
    feet: list[tuple[float, float]] = field(default_factory=list)
    scale: float = 1.0

    def bounds(self) -> np.ndarray:
        """(4,) box xyxy around all pieces."""
        boxes = np.array([piece.shape.bounds() for piece in self.pieces])
        return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])


def rotation(axis: int, angle: float) -> np.ndarray:
    """(3, 3) right-handed rotation about a coordinate axis."""
    c, s = np.cos(angle), np.sin(angle)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(np.linalg.norm(vector), 1e-9)


def _arm_directions(limb: Limb, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Directions of upper arm and forearm in the trunk's frame; ``side`` is +1 left, -1 right."""
    upper = np.array(
        [
            side * np.sin(limb.spread),
            -np.cos(limb.spread) * np.cos(limb.swing),
            np.cos(limb.spread) * np.sin(limb.swing),
        ]
    )
    hint = np.array([-side * limb.inward, 0.25 + 0.5 * abs(limb.inward), 1.0 - 0.6 * abs(limb.inward)])
    across = _unit(hint - hint @ upper * upper)
    return upper, np.cos(limb.bend) * upper + np.sin(limb.bend) * across


def _leg_directions(limb: Limb, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Directions of thigh and shin in the pelvis' frame; the knee bends backwards."""
    out, inn = np.sin(limb.spread), np.cos(limb.spread)
    thigh = np.array([side * out, -inn * np.cos(limb.swing), inn * np.sin(limb.swing)])
    angle = limb.swing - limb.bend
    shin = np.array([0.5 * side * out, -np.cos(angle), np.sin(angle)])
    return thigh, _unit(shin)


def _joints(pose: Pose, look: Look) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Joints in the body frame with the mid hip at 0, and the frames (3, 3) of trunk and head (columns: axes)."""
    trunk = rotation(0, pose.lean) @ rotation(2, -pose.tilt)
    head = trunk @ rotation(1, pose.head_yaw) @ rotation(0, pose.nod)
    half_shoulder, half_hip = 0.115 * look.build**0.5, 0.068 * look.build**0.5
    chest = trunk @ np.array([0, 0.285, 0])
    points = {"hips": np.zeros(3), "chest": chest, "neck": chest + trunk @ np.array([0, 0.045, 0.005])}
    points["head"] = points["neck"] + head @ np.array([0, 0.092 * look.head, 0.012])
    for side, name, arm, leg in ((1.0, "l", pose.arms[0], pose.legs[0]), (-1.0, "r", pose.arms[1], pose.legs[1])):
        upper, fore = (trunk @ d for d in _arm_directions(arm, side))
        thigh, shin = _leg_directions(leg, side)
        points[f"{name}_shoulder"] = chest + trunk @ np.array([side * half_shoulder, 0, 0])
        points[f"{name}_elbow"] = points[f"{name}_shoulder"] + 0.165 * upper
        points[f"{name}_wrist"] = points[f"{name}_elbow"] + 0.145 * fore
        points[f"{name}_hand"] = points[f"{name}_wrist"] + 0.045 * fore
        points[f"{name}_hip"] = np.array([side * half_hip, 0, 0])
        points[f"{name}_knee"] = points[f"{name}_hip"] + 0.235 * thigh
        points[f"{name}_ankle"] = points[f"{name}_knee"] + 0.225 * shin
        toe = _unit(np.array([0.25 * side, min(shin[2], 0.3) * 0.8 - 0.15, 1.0]))
        points[f"{name}_toe"] = points[f"{name}_ankle"] + np.array([0, -0.025, 0]) + 0.075 * toe
    return points, trunk, head


class _Projector:
    """Takes body-frame points to pixels and depths, so that the lowest foot stands on a given picture point."""

    def __init__(self, points: dict[str, np.ndarray], yaw: float, pitch: float, height: float) -> None:
        self.view = rotation(0, pitch) @ rotation(1, yaw)
        self.height = height
        self.points = {name: self.view @ point for name, point in points.items()}
        self.offset = np.zeros(2)

    def stand_on(self, x: float, y: float) -> None:
        """Move the body so that its middle is at ``x`` and its lowest point at ``y``."""
        lowest = min(self.pixel(name)[1] for name in self.points) + 0.0
        lowest = max(self.pixel(name)[1] for name in self.points)
        middle = self.pixel("hips")[0]
        self.offset += (x - middle, y - lowest)

    def pixel(self, name: str) -> tuple[float, float]:
        """Picture point of a joint."""
        return self.place(self.points[name])

    def place(self, point: np.ndarray) -> tuple[float, float]:
        """Picture point of a view-frame point."""
        return float(self.height * point[0] + self.offset[0]), float(-self.height * point[1] + self.offset[1])

    def depth(self, *names: str) -> float:
        """Mean distance towards the viewer of some joints, in body heights."""
        return float(np.mean([self.points[name][2] for name in names]))


def build_figure(
    pose: Pose, look: Look, *, height: float, foot: tuple[float, float], pitch: float = 0.12, seat: Color | None = None
) -> Figure:
    """Pose and dress a person.

    Args:
        pose: Joint angles and facing direction.
        look: Build and clothes.
        height: Standing height in pixels.
        foot: Picture point (x, y) under the hips on which the lowest foot stands.
        pitch: Downward tilt of the view in radians.
        seat: Colour of the stool that a sitting person sits on.

    Returns:
        The figure with its pieces sorted back to front.
    """
    points, trunk, head = _joints(pose, look)
    projector = _Projector(points, pose.yaw, pitch, height)
    projector.stand_on(*foot)
    trunk_view, head_view = projector.view @ trunk, projector.view @ head
    pieces = _trunk_pieces(projector, trunk_view, look)
    for name in ("l", "r"):
        pieces += _arm_pieces(projector, name, look) + _leg_pieces(projector, name, look)
    face, face_pieces = _head_pieces(projector, head_view, trunk_view, look)
    pieces += face_pieces
    if seat is not None and pose.kind == "sitting":
        pieces.append(_seat_piece(projector, seat, foot[1]))
    names = [f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in "lr"]
    keypoints = np.concatenate([face, np.array([projector.pixel(name) for name in names])])
    figure = Figure(keypoints, _surfaces(projector, names), sorted(pieces, key=lambda piece: piece.depth), scale=height)
    figure.feet = [projector.pixel("l_toe"), projector.pixel("r_toe")]
    return figure


def _surfaces(projector: _Projector, names: list[str]) -> list[frozenset[Part]]:
    """Parts on which each keypoint is seen: its own, and the trunk for shoulders and hips that are not behind it."""
    surfaces = [set(parts) for parts in OWN_SURFACES]
    for k, name in enumerate(names, start=5):
        if not name.endswith(("shoulder", "hip")):
            continue
        middle = projector.points["chest" if name.endswith("shoulder") else "hips"]
        offset = projector.points[name] - middle
        if offset[2] >= -_FAR_SIDE * np.linalg.norm(offset):
            surfaces[k] |= {Part.TORSO, Part.SKIRT}
    return [frozenset(parts) for parts in surfaces]


def _trunk_pieces(projector: _Projector, trunk: np.ndarray, look: Look) -> list[Piece]:
    """Trunk with neck, and skirt and backpack where worn."""
    h, build = projector.height, look.build
    # Projected half width of an elliptic cross-section: its axes are the body's lateral and forward directions.
    flat = float(np.hypot(trunk[0, 0], 0.62 * trunk[0, 2]))
    shoulder_width, hip_width = 0.118 * build**0.7 * flat * h, 0.098 * build**0.8 * flat * h
    top = projector.place(projector.points["chest"] + trunk @ np.array([0, 0.035, 0]))
    bottom = projector.place(projector.points["hips"] - trunk @ np.array([0, 0.035, 0]))
    torso = Slab(top, bottom, shoulder_width, hip_width, 0.055 * h)
    depth = projector.depth("chest", "hips")
    neck = Capsule(projector.pixel("neck"), projector.pixel("head"), 0.032 * build**0.5 * h, 0.03 * build**0.5 * h)
    pieces = [
        Piece(Part.TORSO, torso, depth, _TorsoPaint(look, trunk)),
        Piece(Part.NECK, neck, depth + 0.01 if trunk[2, 2] > 0 else depth - 0.01, _darker(look.skin, 0.86)),
    ]
    if look.skirt:
        knees = [(projector.points["l_knee"] + projector.points["r_knee"]) / 2, projector.points["hips"]]
        hem = projector.place(0.62 * knees[0] + 0.38 * knees[1])
        waist = projector.place(projector.points["hips"] + trunk @ np.array([0, 0.04, 0]))
        shape = Slab(waist, hem, 0.09 * build * h * flat, 0.135 * build * h, 0.02 * h)
        pieces.append(Piece(Part.SKIRT, shape, projector.depth("l_knee", "r_knee", "hips") + 0.035, look.trousers))
    if look.backpack is not None:
        center = trunk @ np.array([0, 0.17, -0.095])
        width = 0.085 * np.hypot(trunk[0, 0], 0.6 * trunk[0, 2]) * h
        ends = [projector.place(projector.points["hips"] + center + trunk @ np.array([0, d, 0])) for d in (0.09, -0.1)]
        shape = Slab(ends[0], ends[1], width, width * 1.1, 0.03 * h)
        pieces.append(Piece(Part.BACKPACK, shape, depth + center[2], look.backpack))
    return pieces


def _arm_pieces(projector: _Projector, name: str, look: Look) -> list[Piece]:
    h, build = projector.height, look.build**0.6
    shoulder, elbow, wrist, hand = (projector.pixel(f"{name}_{j}") for j in ("shoulder", "elbow", "wrist", "hand"))
    upper, fore, palm = (
        (Part.L_UPPER_ARM, Part.L_FOREARM, Part.L_HAND)
        if name == "l"
        else (Part.R_UPPER_ARM, Part.R_FOREARM, Part.R_HAND)
    )
    over = 0.03  # arms hang in front of the trunk's middle plane unless they are clearly behind it
    # Each part nearer the hand wins ties, so that an elbow bent at the viewer shows the forearm.
    depth = projector.depth(f"{name}_shoulder", f"{name}_elbow") + over
    fore_depth = projector.depth(f"{name}_elbow", f"{name}_wrist") + over + 0.005
    hand_depth = projector.depth(f"{name}_wrist", f"{name}_hand") + over + 0.01
    skin = Material(look.skin)
    sleeve = min(look.sleeve / 0.5, 1.0), min(max(look.sleeve - 0.5, 0) / 0.5, 1.0)
    return [
        Piece(
            upper, Capsule(shoulder, elbow, 0.037 * build * h, 0.029 * build * h), depth, skin, (sleeve[0], look.shirt)
        ),
        Piece(
            fore, Capsule(elbow, wrist, 0.028 * build * h, 0.021 * build * h), fore_depth, skin, (sleeve[1], look.shirt)
        ),
        Piece(palm, Capsule(wrist, hand, 0.021 * build * h, 0.023 * build * h), hand_depth, skin),
    ]


def _leg_pieces(projector: _Projector, name: str, look: Look) -> list[Piece]:
    h, build = projector.height, look.build**0.7
    hip, knee, ankle, toe = (projector.pixel(f"{name}_{j}") for j in ("hip", "knee", "ankle", "toe"))
    thigh, shin, foot = (
        (Part.L_THIGH, Part.L_SHIN, Part.L_FOOT) if name == "l" else (Part.R_THIGH, Part.R_SHIN, Part.R_FOOT)
    )
    skin = Material(look.skin)
    cover = min(look.legwear / 0.5, 1.0), min(max(look.legwear - 0.5, 0) / 0.5, 1.0)
    depth = projector.depth(f"{name}_hip", f"{name}_knee")
    return [
        Piece(thigh, Capsule(hip, knee, 0.056 * build * h, 0.043 * build * h), depth, skin, (cover[0], look.trousers)),
        Piece(
            shin,
            Capsule(knee, ankle, 0.041 * build * h, 0.027 * build * h),
            projector.depth(f"{name}_knee", f"{name}_ankle") - 0.005,
            skin,
            (cover[1], look.trousers),
        ),
        Piece(
            foot,
            Capsule(ankle, toe, 0.027 * h, 0.024 * h),
            projector.depth(f"{name}_ankle", f"{name}_toe") + 0.004,
            look.shoes,
        ),
    ]


def _head_pieces(
    projector: _Projector, head: np.ndarray, trunk: np.ndarray, look: Look
) -> tuple[np.ndarray, list[Piece]]:
    """Head, hair and features; returns the five face keypoints (5, 2) and the pieces."""
    h = projector.height * look.head
    center = projector.points["head"]
    radii = np.array([0.064, 0.083, 0.07]) * look.head
    offsets = (head @ (_FACE_DIRECTIONS * radii).T).T
    face = np.array([projector.place(center + offset) for offset in offsets])
    depth = float(center[2]) + 0.02
    flat = float(np.hypot(head[0, 0] * radii[0], head[0, 2] * radii[2]) * projector.height)
    shape = Ellipse(projector.place(center), flat, radii[1] * projector.height, _roll(head))
    pieces = [Piece(Part.HEAD, shape, depth, _HeadPaint(look, head))]
    inside = depth + 0.001 + 0.001 * np.sign(offsets[:, 2])  # features just over the head where they face the viewer
    nose_root = projector.place(center + head @ (np.array([0, 0.12, 0.93]) * radii))
    nose = Capsule(nose_root, tuple(face[0]), 0.007 * h, 0.0125 * h)
    pieces.append(Piece(Part.NOSE, nose, depth + 0.003 * np.sign(offsets[0, 2]), _darker(look.skin, 0.8)))
    for k, part in ((1, Part.L_EYE), (2, Part.R_EYE)):
        shrink = max(float(offsets[k, 2] / radii[2]), 0.35)
        eye = Ellipse(tuple(face[k]), max(0.0155 * h * shrink, 0.75), max(0.012 * h, 0.75), _roll(head))
        pieces.append(Piece(part, eye, inside[k] if offsets[k, 2] > 0 else depth - 0.002, _EyePaint()))
    for k, part in ((3, Part.L_EAR), (4, Part.R_EAR)):
        ear = Ellipse(tuple(face[k]), 0.013 * h, 0.023 * h, _roll(head))
        visible = look.hair_style != "long"
        ear_depth = depth + (0.002 if offsets[k, 2] > 0 else -0.002) * (1 if visible else -1)
        pieces.append(Piece(part, ear, ear_depth, _darker(look.skin, 0.88)))
    pieces += _hair_pieces(projector, head, trunk, look, shape)
    return face, pieces


def _hair_pieces(projector: _Projector, head: np.ndarray, trunk: np.ndarray, look: Look, skull: Ellipse) -> list[Piece]:
    """Long hair behind the head, and a hat's brim towards where the face is."""
    h, center, pieces = projector.height * look.head, projector.points["head"], []
    if look.hair_style == "long":
        top = projector.place(center + head @ np.array([0, 0.03, -0.02]))
        end = projector.place(center + head @ np.array([0, -0.02, -0.045]) + trunk @ np.array([0, -0.11, -0.02]))
        depth = float(center[2]) + 0.02 + (-0.004 if head[2, 2] > 0 else 0.004)
        pieces.append(Piece(Part.HAIR, Capsule(top, end, skull.rx * 1.16, skull.rx * 0.85), depth, look.hair))
    if look.hat is not None:
        brim = [projector.place(center + head @ np.array([0, 0.043, z])) for z in (0.03, 0.105)]
        depth = float(center[2]) + 0.02 + (0.006 if head[2, 2] > 0 else -0.006)
        pieces.append(Piece(Part.HAT, Capsule(brim[0], brim[1], 0.05 * h, 0.035 * h), depth, _darker(look.hat, 0.8)))
    return pieces


def _seat_piece(projector: _Projector, color: Color, ground: float) -> Piece:
    """A stool under the hips, behind the legs."""
    x, y = projector.pixel("hips")
    h = projector.height
    shape = Slab((x, y + 0.05 * h), (x, max(ground - 0.01 * h, y + 0.1 * h)), 0.12 * h, 0.11 * h, 0.015 * h)
    return Piece(Part.SEAT, shape, min(projector.depth("hips"), projector.depth("chest")) - 0.1, color)


def _roll(head: np.ndarray) -> float:
    """In-plane angle of the head's up axis, clockwise in the picture."""
    return float(np.arctan2(head[0, 1], max(head[1, 1], 1e-6)))


def _darker(color: Color, factor: float) -> Color:
    return tuple(float(c) * factor for c in color)  # type: ignore[return-value]


class _TorsoPaint:
    """Shirt with a collar and buttons in front, trousers below the belt."""

    def __init__(self, look: Look, trunk: np.ndarray) -> None:
        self.look, self.trunk = look, trunk

    def __call__(self, shape: Slab, x: np.ndarray, y: np.ndarray, local) -> np.ndarray:
        look = self.look
        shirt = np.broadcast_to(look.shirt.paint(local, 0.45), (*local.along.shape, 3)).copy()
        facing = float(self.trunk[2, 2])
        if facing > 0.2:
            middle = float(self.trunk[0, 2]) * 0.75
            off = np.abs(local.across + np.float32(middle))
            shirt[off < 0.07] *= 0.72
            neckline = off + local.along * 2.2 < 0.42
            shirt[neckline] = look.skin
        below = local.along > 0.84
        shirt[below] = np.asarray(look.trousers.color, np.float32)
        shirt[(local.along > 0.81) & ~below] *= 0.45
        return shirt


class _HeadPaint:
    """Skin, hair and mouth on an ellipsoid, by each pixel's direction in the head's frame."""

    def __init__(self, look: Look, head: np.ndarray) -> None:
        self.look, self.head = look, head

    def __call__(self, shape: Ellipse, x: np.ndarray, y: np.ndarray, local) -> np.ndarray:
        nx, ny = shape.normalized(x, y)
        nz = np.sqrt(np.clip(1 - nx * nx - ny * ny, 0, 1))
        c, s = np.cos(shape.angle), np.sin(shape.angle)
        right, up = c * nx - s * ny, -(s * nx + c * ny)
        lateral, top, front = (self.head[0, i] * right + self.head[1, i] * up + self.head[2, i] * nz for i in range(3))
        color = np.broadcast_to(np.asarray(self.look.skin, np.float32), (*nx.shape, 3)).copy()
        mouth = (np.abs(top + 0.5) < 0.075) & (np.abs(lateral) < 0.28) & (front > 0)
        color[mouth] = np.asarray(self.look.skin, np.float32) * (0.6, 0.5, 0.8)
        brows = (np.abs(top - 0.36) < 0.06) & (np.abs(np.abs(lateral) - 0.4) < 0.2) & (front > 0)
        if self.look.hair_style != "bald":
            color[brows] = self.look.hair
            color[(top > 0.5 + 0.12 * front) | (front < -0.28 - 0.5 * np.minimum(top, 0))] = self.look.hair
        if self.look.hat is not None:
            color[top > 0.42] = self.look.hat
        return color


class _EyePaint:
    """White with a dark iris in the middle."""

    def __call__(self, shape: Ellipse, x: np.ndarray, y: np.ndarray, local) -> np.ndarray:
        nx, ny = shape.normalized(x, y)
        dark = np.clip(1.6 - 2.0 * np.hypot(nx * 1.2, ny * 0.9), 0, 1)[..., None]
        return (1 - dark) * np.float32(240) + dark * np.array((40, 25, 20), np.float32)


def paint_figure(canvas: Canvas, figure: Figure, index: int, light: tuple[float, float] = (-0.5, 1.0)) -> None:
    """Paint a person's pieces, back to front, as owner ``index * PARTS_PER_PERSON + part``.

    Args:
        canvas: The picture.
        figure: The person.
        index: Number of the person in the picture.
        light: Where the light comes from, (right, towards the viewer).
    """
    norm = np.hypot(*light)
    lx, lz = light[0] / norm, light[1] / norm
    for piece in figure.pieces:
        window = canvas.window(piece.shape)
        if window is None:
            continue
        x, y = canvas.grid(window)
        local = piece.shape.local(x, y)
        if callable(piece.look):
            color = piece.look(piece.shape, x, y, local)
        elif isinstance(piece.look, Material):
            color = _dressed(piece, local)
        else:
            color = np.asarray(piece.look, np.float32)
        if piece.part not in (Part.L_EYE, Part.R_EYE):
            color = color * _cylinder_light(piece.shape, local, lx, lz)[..., None]
        alpha = np.clip(0.5 - local.distance, 0, 1)
        canvas.blend(window, alpha, color, index * PARTS_PER_PERSON + int(piece.part))


def _dressed(piece: Piece, local) -> np.ndarray:
    """Colour of a limb or garment: its own material, clothes over the first share of its length."""
    base = piece.look.paint(local, 0.3)
    if piece.cover is None or piece.cover[0] <= 0:
        return base
    share, clothes = piece.cover
    if share >= 1:
        return clothes.paint(local, 0.2)
    return np.where((local.along < share)[..., None], clothes.paint(local, 0.2), base)


def _cylinder_light(shape: Shape, local, lx: float, lz: float) -> np.ndarray:
    """Brightness (h, w) of a round surface: dark towards the side away from the light."""
    across = local.across
    if isinstance(shape, (Capsule, Slab)):
        dx, dy = shape.b[0] - shape.a[0], shape.b[1] - shape.a[1]
        across = across * np.float32(-dy / max(np.hypot(dx, dy), 1e-3))  # picture x of the surface normal
    across = np.clip(across, -1, 1)
    return np.float32(0.62) + np.float32(0.42) * np.maximum(
        np.float32(lx) * across + np.float32(lz) * np.sqrt(1 - across * across), 0
    )
