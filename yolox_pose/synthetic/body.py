"""Body in three dimensions: joint angles, proportions and projection into the picture.

A body of height 1 is posed with joint angles, turned to a facing direction, seen from slightly above and projected
orthographically. Body frame: (lateral toward the person's left, up, forward), mid hip at 0. View frame: (right, up,
toward the viewer).

Depends on numpy alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from yolox_pose.synthetic.paint import Color, Material

UPPER_ARM, FOREARM, HAND = 0.165, 0.145, 0.045
THIGH, SHIN, FOOT = 0.235, 0.225, 0.075
TRUNK, NECK, HEAD_CENTER = 0.285, 0.045, 0.092
HALF_SHOULDERS, HALF_HIPS = 0.115, 0.068
"""Lengths as fractions of the standing height. Heads are larger than life, so that small pictures show faces."""


@dataclass(frozen=True)
class Limb:
    """Angles of an arm or leg, in radians.

    Args:
        swing: Forward swing.
        spread: Outward spread.
        bend: Bend of the elbow or knee.
        inward: Direction in which the forearm bends: 0 forward, 1 to the middle, -1 outward.
    """

    swing: float
    spread: float
    bend: float
    inward: float = 0.0


@dataclass(frozen=True)
class Pose:
    """Joint angles of a body, in radians, and its facing direction.

    Args:
        arms: Left and right arm.
        legs: Left and right leg.
        yaw: Facing direction: 0 to the viewer, pi/2 to the picture's right, pi away.
        lean: Forward lean of the trunk.
        tilt: Sideways lean of the trunk.
        head_yaw: Turn of the head relative to the trunk.
        nod: Downward turn of the head.
        kind: Name of the pose; a ``sitting`` person gets a stool.
    """

    arms: tuple[Limb, Limb]
    legs: tuple[Limb, Limb]
    yaw: float = 0.0
    lean: float = 0.0
    tilt: float = 0.0
    head_yaw: float = 0.0
    nod: float = 0.0
    kind: str = "standing"


@dataclass(frozen=True)
class Look:
    """Build and clothes of a person.

    Args:
        skin: Color of the skin.
        hair: Color of the hair.
        shirt: Material of the shirt.
        trousers: Material of the trousers or the skirt.
        shoes: Color of the shoes.
        build: Width of the body relative to the average.
        head: Size of the head relative to the average.
        sleeve: Covered fraction of the arm: 0 none, 0.5 to the elbow, 1 all.
        legwear: Covered fraction of the leg.
        hair_style: ``short``, ``long`` or ``bald``.
        hat: Color of the cap; None for no cap.
        backpack: Color of the backpack; None for no backpack.
        skirt: Whether a skirt replaces the trousers.
    """

    skin: Color
    hair: Color
    shirt: Material
    trousers: Material
    shoes: Color
    build: float = 1.0
    head: float = 1.0
    sleeve: float = 0.5
    legwear: float = 1.0
    hair_style: str = "short"
    hat: Color | None = None
    backpack: Color | None = None
    skirt: bool = False


def rotation(axis: int, angle: float) -> np.ndarray:
    """Return the (3, 3) right-handed rotation about a coordinate axis."""
    c, s = math.cos(angle), math.sin(angle)
    i, j = ((1, 2), (2, 0), (0, 1))[axis]
    matrix = np.eye(3)
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(math.sqrt(vector @ vector), 1e-9)


def arm_directions(limb: Limb, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the directions (3,) of upper arm and forearm in the trunk's frame; ``side`` is 1 for left, -1 for right."""
    down = -math.cos(limb.spread) * math.cos(limb.swing)
    upper = np.array([side * math.sin(limb.spread), down, math.cos(limb.spread) * math.sin(limb.swing)])
    sideways = abs(limb.inward)
    hint = np.array([-side * limb.inward, 0.25 + 0.5 * sideways, 1.0 - 0.6 * sideways])
    across = _unit(hint - hint @ upper * upper)
    return upper, math.cos(limb.bend) * upper + math.sin(limb.bend) * across


def leg_directions(limb: Limb, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the directions (3,) of thigh and shin in the pelvis' frame; the knee bends backward."""
    out, straight = math.sin(limb.spread), math.cos(limb.spread)
    thigh = np.array([side * out, -straight * math.cos(limb.swing), straight * math.sin(limb.swing)])
    angle = limb.swing - limb.bend
    return thigh, _unit(np.array([0.5 * side * out, -math.cos(angle), math.sin(angle)]))


class Body:
    """Posed body in the picture.

    Args:
        pose: Joint angles and facing direction.
        look: Build; clothes are not used.
        height: Standing height in pixels.
        foot: Point (x, y) in the picture: the hips are above x, the lowest point is at y.
        pitch: Downward tilt of the view in radians.

    Attributes:
        joints: Position (3,) of each joint in the view frame, in body heights.
        trunk: Axes of the trunk in the view frame, of shape (3, 3), columns lateral, up and forward.
        head: Axes of the head in the view frame, of shape (3, 3).
    """

    def __init__(self, pose: Pose, look: Look, height: float, foot: tuple[float, float], pitch: float) -> None:
        self.height = height
        view = rotation(0, pitch) @ rotation(1, pose.yaw)
        trunk = rotation(0, pose.lean) @ rotation(2, -pose.tilt)
        head = trunk @ rotation(1, pose.head_yaw) @ rotation(0, pose.nod)
        joints = _body_joints(pose, look, trunk, head)
        positions = np.array(list(joints.values())) @ view.T
        self.joints = dict(zip(joints, positions))
        self.trunk, self.head = view @ trunk, view @ head
        self._offset = (foot[0], foot[1] + height * float(positions[:, 1].min()))

    def place(self, point: np.ndarray) -> tuple[float, float]:
        """Return the picture point of a point (3,) in the view frame."""
        return float(self.height * point[0] + self._offset[0]), float(self._offset[1] - self.height * point[1])

    def pixel(self, name: str) -> tuple[float, float]:
        """Return the picture point of a joint."""
        return self.place(self.joints[name])

    def depth(self, *names: str) -> float:
        """Return the mean distance of some joints toward the viewer, in body heights."""
        return sum(float(self.joints[name][2]) for name in names) / len(names)


def _body_joints(pose: Pose, look: Look, trunk: np.ndarray, head: np.ndarray) -> dict[str, np.ndarray]:
    """Return the positions (3,) of all joints in the body frame, with hips, chest, neck, head, hands and toes."""
    half_shoulders, half_hips = HALF_SHOULDERS * look.build**0.5, HALF_HIPS * look.build**0.5
    chest = TRUNK * trunk[:, 1]
    joints = {"hips": np.zeros(3), "chest": chest, "neck": chest + NECK * trunk[:, 1] + 0.005 * trunk[:, 2]}
    joints["head"] = joints["neck"] + HEAD_CENTER * look.head * head[:, 1] + 0.012 * head[:, 2]
    for side, name, arm, leg in ((1.0, "l", pose.arms[0], pose.legs[0]), (-1.0, "r", pose.arms[1], pose.legs[1])):
        upper, fore = (trunk @ direction for direction in arm_directions(arm, side))
        thigh, shin = leg_directions(leg, side)
        toe = _unit(np.array([0.25 * side, min(float(shin[2]), 0.3) * 0.8 - 0.15, 1.0]))
        shoulder, hip = chest + side * half_shoulders * trunk[:, 0], np.array([side * half_hips, 0, 0])
        elbow, knee = shoulder + UPPER_ARM * upper, hip + THIGH * thigh
        wrist, ankle = elbow + FOREARM * fore, knee + SHIN * shin
        parts = {"shoulder": shoulder, "elbow": elbow, "wrist": wrist, "hand": wrist + HAND * fore}
        parts |= {"hip": hip, "knee": knee, "ankle": ankle, "toe": ankle + FOOT * toe - [0, 0.025, 0]}
        joints |= {f"{name}_{part}": point for part, point in parts.items()}
    return joints
