"""Person in a picture: the painted parts of a posed and dressed body, sorted by depth.

Parts are painted from the farthest to the nearest, so that occlusion follows from depth alone. Every keypoint lists the
parts whose surface shows it.

Shape letters: h, w of the window that a piece can touch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from yolox_pose.synthetic.body import Body, Look, Pose
from yolox_pose.synthetic.paint import Canvas, Capsule, Color, Ellipse, Local, Material, Shape, Slab, planar

PARTS_PER_PERSON = 64
"""The owner of a pixel on part ``p`` of person ``i`` is ``i * PARTS_PER_PERSON + p``."""

Part = IntEnum(
    "Part",
    "TORSO NECK HEAD HAIR NOSE L_EYE R_EYE L_EAR R_EAR L_UPPER_ARM R_UPPER_ARM L_FOREARM R_FOREARM L_HAND R_HAND "
    "L_THIGH R_THIGH L_SHIN R_SHIN L_FOOT R_FOOT SKIRT BACKPACK HAT SEAT",
)
"""Painted surfaces of a person."""

OWN_SURFACES: tuple[frozenset[Part], ...] = tuple(
    frozenset(Part[name] for name in names.split())
    for names in (
        "NOSE",
        "L_EYE",
        "R_EYE",
        "L_EAR",
        "R_EAR",
        "L_UPPER_ARM",
        "R_UPPER_ARM",
        "L_UPPER_ARM L_FOREARM",
        "R_UPPER_ARM R_FOREARM",
        "L_FOREARM L_HAND",
        "R_FOREARM R_HAND",
        "L_THIGH",
        "R_THIGH",
        "L_THIGH L_SHIN",
        "R_THIGH R_SHIN",
        "L_SHIN L_FOOT",
        "R_SHIN R_FOOT",
    )
)
"""Parts whose surface shows each COCO keypoint."""

_BODY_KEYPOINTS = tuple(f"{s}_{j}" for j in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for s in "lr")
_TRUNK_SURFACES = frozenset((Part.TORSO, Part.SKIRT))
_FAR_SIDE = 0.7
"""The trunk hides a shoulder or hip that lies more than 45 degrees (sine 0.7) around its far side."""

_FACE = np.array([[0.0, -0.10, 1.10], [0.40, 0.16, 0.90], [-0.40, 0.16, 0.90], [1.12, 0.0, -0.06], [-1.12, 0.0, -0.06]])
"""Nose, eyes and ears in the frame of the head, in units of its half axes."""
_HEAD_RADII = np.array([0.064, 0.083, 0.07])
_MIN_RADIUS = 0.75
"""Smallest radius of facial features in pixels, so that a visible feature owns the pixel of its keypoint."""

PiecePaint = Callable[[Shape, np.ndarray, np.ndarray, Local], np.ndarray]
"""Function from a shape, pixel centers x (1, w) and y (h, 1) and local coordinates to colors (3, h, w)."""


@dataclass(frozen=True)
class Piece:
    """Part that is ready to paint.

    Args:
        part: Name of the part.
        shape: Outline.
        depth: Distance toward the viewer; pieces of smaller depth are painted first.
        paint: Material, or function that returns the colors.
        cover: Fraction of a limb, from its first end, that is clothed, and the material of the clothes.
    """

    part: Part
    shape: Shape
    depth: float
    paint: Material | PiecePaint
    cover: tuple[float, Material] | None = None


@dataclass(frozen=True)
class Figure:
    """Posed, dressed person in a picture.

    Args:
        keypoints: COCO keypoints of shape (17, 2) in pixels.
        surfaces: Parts that show each keypoint where they are topmost.
        pieces: Painted parts, back to front.
        feet: Points of the two feet in the picture.
        height: Standing height in pixels.
    """

    keypoints: np.ndarray
    surfaces: tuple[frozenset[Part], ...]
    pieces: tuple[Piece, ...]
    feet: tuple[tuple[float, float], tuple[float, float]]
    height: float

    def bounds(self) -> tuple[float, float, float, float]:
        """Return the xyxy box around all pieces."""
        boxes = [piece.shape.bounds() for piece in self.pieces]
        left, top = (min(box[i] for box in boxes) for i in (0, 1))
        right, bottom = (max(box[i] for box in boxes) for i in (2, 3))
        return left, top, right, bottom


def build_figure(
    pose: Pose, look: Look, *, height: float, foot: tuple[float, float], pitch: float = 0.12, seat: Color | None = None
) -> Figure:
    """Pose and dress a person.

    Args:
        pose: Joint angles and facing direction.
        look: Build and clothes.
        height: Standing height in pixels.
        foot: Point (x, y) in the picture: the hips are above x, the lowest point is at y.
        pitch: Downward tilt of the view in radians.
        seat: Color of the stool of a sitting person.
    """
    body = Body(pose, look, height, foot, pitch)
    pieces = _trunk_pieces(body, look)
    for name in "lr":
        pieces += _arm_pieces(body, name, look) + _leg_pieces(body, name, look)
    face, face_pieces = _head_pieces(body, look)
    pieces += face_pieces
    if seat is not None and pose.kind == "sitting":
        pieces.append(_seat_piece(body, seat, foot[1]))
    return Figure(
        keypoints=np.concatenate([face, [body.pixel(name) for name in _BODY_KEYPOINTS]]),
        surfaces=_surfaces(body),
        pieces=tuple(sorted(pieces, key=lambda piece: piece.depth)),
        feet=(body.pixel("l_toe"), body.pixel("r_toe")),
        height=height,
    )


def _surfaces(body: Body) -> tuple[frozenset[Part], ...]:
    """Return the parts that show each keypoint; the trunk shows shoulders and hips that are not behind it."""
    surfaces = list(OWN_SURFACES)
    for k, name in enumerate(_BODY_KEYPOINTS, start=5):
        if not name.endswith(("shoulder", "hip")):
            continue
        offset = body.joints[name] - body.joints["chest" if name.endswith("shoulder") else "hips"]
        if offset[2] >= -_FAR_SIDE * math.sqrt(offset @ offset):
            surfaces[k] = surfaces[k] | _TRUNK_SURFACES
    return tuple(surfaces)


def _flat(axes: np.ndarray, depth: float) -> float:
    """Return the half width in the picture of an elliptic column of half width 1 and half thickness ``depth``."""
    return math.hypot(axes[0, 0], depth * axes[0, 2])


def _trunk_pieces(body: Body, look: Look) -> list[Piece]:
    """Return trunk and neck, and skirt and backpack if they are worn."""
    h, up = body.height, body.trunk[:, 1]
    flat, depth = _flat(body.trunk, 0.62) * h, body.depth("chest", "hips")
    top, bottom = body.place(body.joints["chest"] + 0.035 * up), body.place(body.joints["hips"] - 0.035 * up)
    torso = Slab(top, bottom, 0.118 * look.build**0.7 * flat, 0.098 * look.build**0.8 * flat, 0.055 * h)
    neck = Capsule(body.pixel("neck"), body.pixel("head"), 0.032 * look.build**0.5 * h, 0.03 * look.build**0.5 * h)
    faces_viewer = body.trunk[2, 2] > 0
    pieces = [
        Piece(Part.TORSO, torso, depth, _TorsoPaint(look, body.trunk)),
        Piece(Part.NECK, neck, depth + (0.01 if faces_viewer else -0.01), Material(_darker(look.skin, 0.86))),
    ]
    if look.skirt:
        pieces.append(_skirt_piece(body, look, flat))
    if look.backpack is not None:
        behind = body.joints["hips"] + body.trunk @ (0, 0.17, -0.095)
        width = 0.085 * _flat(body.trunk, 0.6) * h
        shape = Slab(body.place(behind + 0.09 * up), body.place(behind - 0.1 * up), width, 1.1 * width, 0.03 * h)
        # Off the trunk's middle plane, but never in front of an arm that hangs beside it.
        pieces.append(Piece(Part.BACKPACK, shape, depth - 0.095 * body.trunk[2, 2], Material(look.backpack)))
    return pieces


def _skirt_piece(body: Body, look: Look, flat: float) -> Piece:
    """Return a skirt from the waist over both thighs."""
    knees = (body.joints["l_knee"] + body.joints["r_knee"]) / 2
    hem, waist = (
        body.place(0.6 * knees + 0.4 * body.joints["hips"]),
        body.place(body.joints["hips"] + 0.04 * body.trunk[:, 1]),
    )
    apart = abs(body.joints["l_knee"][0] - body.joints["r_knee"][0]) / 2
    width = (0.06 + 0.6 * float(apart)) * body.height + 0.06 * look.build * flat
    depth = max(body.depth("l_knee", "l_hip"), body.depth("r_knee", "r_hip")) + 0.01
    return Piece(
        Part.SKIRT, Slab(waist, hem, 0.092 * look.build * flat, width, 0.02 * body.height), depth, look.trousers
    )


def _arm_pieces(body: Body, name: str, look: Look) -> list[Piece]:
    """Return upper arm, forearm and hand."""
    unit, skin = body.height * look.build**0.6, Material(look.skin)
    shoulder, elbow, wrist, hand = (f"{name}_{joint}" for joint in ("shoulder", "elbow", "wrist", "hand"))
    upper, fore = min(2 * look.sleeve, 1.0), max(2 * look.sleeve - 1, 0.0)
    # Arms are in front of the trunk unless they are clearly behind its middle plane; toward the hand they win ties.
    rows = (
        ("UPPER_ARM", shoulder, elbow, 0.037, 0.029, 0.03, (upper, look.shirt)),
        ("FOREARM", elbow, wrist, 0.028, 0.021, 0.035, (fore, look.shirt)),
        ("HAND", wrist, hand, 0.021, 0.023, 0.04, None),
    )
    return [
        Piece(
            Part[f"{name.upper()}_{part}"],
            Capsule(body.pixel(a), body.pixel(b), ra * unit, rb * unit),
            body.depth(a, b) + forward,
            skin,
            cover,
        )
        for part, a, b, ra, rb, forward, cover in rows
    ]


def _leg_pieces(body: Body, name: str, look: Look) -> list[Piece]:
    """Return thigh, shin and foot."""
    unit, skin = body.height * look.build**0.7, Material(look.skin)
    hip, knee, ankle, toe = (f"{name}_{joint}" for joint in ("hip", "knee", "ankle", "toe"))
    thigh, shin = min(2 * look.legwear, 1.0), max(2 * look.legwear - 1, 0.0)
    rows = (
        ("THIGH", hip, knee, 0.056 * unit, 0.043 * unit, 0.0, skin, (thigh, look.trousers)),
        ("SHIN", knee, ankle, 0.041 * unit, 0.027 * unit, -0.005, skin, (shin, look.trousers)),
        ("FOOT", ankle, toe, 0.027 * body.height, 0.024 * body.height, 0.004, Material(look.shoes), None),
    )
    return [
        Piece(
            Part[f"{name.upper()}_{part}"],
            Capsule(body.pixel(a), body.pixel(b), ra, rb),
            body.depth(a, b) + off,
            paint,
            cover,
        )
        for part, a, b, ra, rb, off, paint, cover in rows
    ]


def _head_pieces(body: Body, look: Look) -> tuple[np.ndarray, list[Piece]]:
    """Return the facial keypoints (5, 2), and head, features, hair and cap."""
    h, center, radii = body.height * look.head, body.joints["head"], _HEAD_RADII * look.head
    offsets = (_FACE * radii) @ body.head.T
    face = [body.place(center + offset) for offset in offsets]
    depth, roll = float(center[2]) + 0.02, _roll(body.head)
    skull = Ellipse(body.pixel("head"), _HEAD_RADII[0] * h * _flat(body.head, 1.09), _HEAD_RADII[1] * h, roll)
    pieces = [Piece(Part.HEAD, skull, depth, _HeadPaint(look, body.head))]
    nose_root = body.place(center + body.head @ (np.array([0, 0.12, 0.93]) * radii))
    nose = Capsule(nose_root, face[0], 0.007 * h, max(0.0125 * h, _MIN_RADIUS))
    nose_side = math.copysign(0.003, offsets[0, 2])
    pieces.append(Piece(Part.NOSE, nose, depth + nose_side, Material(_darker(look.skin, 0.8))))
    for k, part in ((1, Part.L_EYE), (2, Part.R_EYE)):
        turned = float(offsets[k, 2] / radii[2])
        if turned > 0:  # otherwise the eye is on the far side of the head
            width = max(0.0155 * h * max(turned, 0.35), _MIN_RADIUS)
            eye = Ellipse(face[k], width, max(0.012 * h, _MIN_RADIUS), roll)
            pieces.append(Piece(part, eye, depth + 0.002, _eye_paint))
    for k, part in ((3, Part.L_EAR), (4, Part.R_EAR)):
        if look.hair_style != "long":  # long hair hides the ears
            ear = Ellipse(face[k], max(0.013 * h, _MIN_RADIUS), max(0.023 * h, _MIN_RADIUS), roll)
            side = math.copysign(0.002, offsets[k, 2])
            pieces.append(Piece(part, ear, depth + side, Material(_darker(look.skin, 0.88))))
    return np.array(face), pieces + _hair_pieces(body, look, skull)


def _hair_pieces(body: Body, look: Look, skull: Ellipse) -> list[Piece]:
    """Return long hair behind the head, and the peak of a cap above the face."""
    h, center, pieces = body.height * look.head, body.joints["head"], []
    head_depth, faces_viewer = float(center[2]) + 0.02, body.head[2, 2] > -0.1
    if look.hair_style == "long":
        top = body.place(center + body.head @ (0, 0.03, -0.02))
        end = body.place(center + body.head @ (0, -0.02, -0.045) + body.trunk @ (0, -0.11, -0.02))
        depth = min(head_depth, body.depth("chest", "hips")) - 0.02 if faces_viewer else head_depth + 0.02
        pieces.append(Piece(Part.HAIR, Capsule(top, end, 1.16 * skull.rx, 0.9 * skull.rx), depth, Material(look.hair)))
    if look.hat is not None:
        peak = body.place(center + body.head @ (0, 0.045 * look.head, 0.075 * look.head))
        width = 0.06 * h * _flat(body.head, 0.9)
        shape = Ellipse(peak, width, 0.016 * h, _roll(body.head))
        depth = head_depth + (0.004 if faces_viewer else -0.004)
        pieces.append(Piece(Part.HAT, shape, depth, Material(_darker(look.hat, 0.75))))
    return pieces


def _seat_piece(body: Body, color: Color, ground: float) -> Piece:
    """Return a stool under the hips, behind the person."""
    (x, y), h = body.pixel("hips"), body.height
    shape = Slab((x, y + 0.05 * h), (x, max(ground - 0.01 * h, y + 0.1 * h)), 0.12 * h, 0.11 * h, 0.015 * h)
    return Piece(Part.SEAT, shape, min(body.depth("hips"), body.depth("chest")) - 0.1, Material(color))


def _roll(axes: np.ndarray) -> float:
    """Return the clockwise angle in the picture of the up axis of a frame."""
    return math.atan2(axes[0, 1], max(axes[1, 1], 1e-6))


def _darker(color: Color, factor: float) -> Color:
    return color[0] * factor, color[1] * factor, color[2] * factor


class _TorsoPaint:
    """Paint of a shirt with collar and buttons in front, and trousers below the belt."""

    def __init__(self, look: Look, trunk: np.ndarray) -> None:
        self.look, self.trunk = look, trunk

    def __call__(self, shape: Shape, x: np.ndarray, y: np.ndarray, local: Local) -> np.ndarray:
        look, along = self.look, local.along
        legs = look.trousers.paint(local, 0.45)
        color = np.where(along > 0.84, legs, look.shirt.paint(local, 0.45))
        belt = (along > 0.81) & (along <= 0.84)
        color = np.where(belt, 0.45 * color, color)
        if self.trunk[2, 2] > 0.2:
            # Slab.across grows toward the picture's left; the chest's middle is where its forward axis points.
            off = np.abs(local.across + 0.75 * float(self.trunk[0, 2]))
            color = np.where((off < 0.07) & (along < 0.84), 0.72 * color, color)
            color = np.where(off + 2.2 * along < 0.42, planar(look.skin), color)
        return color


class _HeadPaint:
    """Paint of skin, hair, brows, mouth and cap, by the direction of each pixel in the frame of the head."""

    def __init__(self, look: Look, head: np.ndarray) -> None:
        self.look, self.head = look, [[float(v) for v in row] for row in head]

    def __call__(self, shape: Shape, x: np.ndarray, y: np.ndarray, local: Local) -> np.ndarray:
        assert isinstance(shape, Ellipse)
        nx, ny = shape.normalized(x, y)
        toward = np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0))
        c, s = math.cos(shape.angle), math.sin(shape.angle)
        right, up = c * nx - s * ny, -s * nx - c * ny
        lateral, top, front = (
            self.head[0][i] * right + self.head[1][i] * up + self.head[2][i] * toward for i in range(3)
        )
        look, face, color = self.look, front > 0, planar(self.look.skin)
        mouth = (np.abs(top + 0.5) < 0.075) & (np.abs(lateral) < 0.28) & face
        color = np.where(mouth, color * planar((0.6, 0.5, 0.8)), color)
        if look.hair_style != "bald":
            hair = (np.abs(top - 0.36) < 0.06) & (np.abs(np.abs(lateral) - 0.4) < 0.2) & face
            hair |= (top > 0.5 + 0.12 * front) | (front < -0.28 - 0.5 * np.minimum(top, 0))
            color = np.where(hair, planar(look.hair), color)
        if look.hat is not None:
            color = np.where(top > 0.42, planar(look.hat), color)
        return color


def _eye_paint(shape: Shape, x: np.ndarray, y: np.ndarray, local: Local) -> np.ndarray:
    """Return the colors of an eye: white with a dark iris in the middle."""
    assert isinstance(shape, Ellipse)
    nx, ny = shape.normalized(x, y)
    dark = np.clip(1.6 - 2.0 * np.hypot(1.2 * nx, 0.9 * ny), 0, 1)
    return 240 + dark * (planar((40, 25, 20)) - 240)


def paint_figure(canvas: Canvas, figure: Figure, index: int, light: float) -> None:
    """Paint the pieces of a person, back to front, as owner ``index * PARTS_PER_PERSON + part``.

    Args:
        canvas: The picture.
        figure: The person.
        index: Number of the person in the picture.
        light: Direction of the light, from -1 (left) to 1 (right).
    """
    for piece in figure.pieces:
        window = canvas.window(piece.shape)
        if window is None:
            continue
        x, y = canvas.grid(window)
        local = piece.shape.local(x, y)
        if isinstance(piece.paint, Material):
            color = _dressed(piece.paint, piece.cover, local) * _roundness(piece.shape, local, light)
        elif piece.paint is _eye_paint:
            color = piece.paint(piece.shape, x, y, local)
        else:
            color = piece.paint(piece.shape, x, y, local) * _roundness(piece.shape, local, light)
        canvas.blend(window, local.distance, color, index * PARTS_PER_PERSON + int(piece.part))


def _dressed(skin: Material, cover: tuple[float, Material] | None, local: Local) -> np.ndarray:
    """Return the colors of a limb or garment, clothed over the first part of its length."""
    if cover is None or cover[0] <= 0:
        return skin.paint(local, 0.3)
    share, clothes = cover
    if share >= 1:
        return clothes.paint(local, 0.2)
    return np.where(local.along < share, clothes.paint(local, 0.2), skin.paint(local))


def _roundness(shape: Shape, local: Local, light: float) -> np.ndarray:
    """Return the brightness (h, w) of a round surface: about 1 toward the light, 0.5 at the opposite edge."""
    turn = 1.0  # how much ``across`` is along the picture's rows
    if not isinstance(shape, Ellipse):
        dx, dy = shape.b[0] - shape.a[0], shape.b[1] - shape.a[1]
        turn = -dy / max(math.hypot(dx, dy), 1e-3)
    return 1.0 + (0.22 * light * turn - 0.32 * local.across) * local.across
