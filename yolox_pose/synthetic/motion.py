"""People of synthetic crowds who move: they walk across the picture, or move on the spot.

A person at a time is posed afresh, so that annotations are as exact as those of single pictures. Depends on numpy alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from yolox_pose.synthetic.body import Limb, Look, Pose
from yolox_pose.synthetic.figure import build_figure
from yolox_pose.synthetic.paint import Color
from yolox_pose.synthetic.scene import Actor, ground_line, random_color, random_look, random_pose

WALKERS = 0.7
"""Share of people who walk; the others move on the spot."""
WALKING_SPEED = (0.3, 1.0)
"""Body heights a second; an adult walks at about 0.8."""
STRIDE = 0.8
"""Body heights of a double step."""
SWAY = 0.25
"""Largest swing of an arm on the spot, in radians."""


@dataclass(frozen=True)
class Mover:
    """A person whose place and pose are functions of time.

    Args:
        pose: At rest.
        look: Build and clothes.
        height: Standing height in pixels.
        foot: Picture point (x, y) at time 0: the hips are above x, the lowest point is at y.
        pitch: Downward tilt of the view in radians.
        nearness: 0 far .. 1 near.
        seat: Colour of the stool of somebody who sits.
        speed: Pixels a second to the picture's right; 0 stays on the spot.
        rate: Cycles of the limbs a second.
        phase: Of the limbs at time 0, in radians.
    """

    pose: Pose
    look: Look
    height: float
    foot: tuple[float, float]
    pitch: float
    nearness: float
    seat: Color
    speed: float = 0.0
    rate: float = 0.5
    phase: float = 0.0

    def at(self, seconds: float) -> Actor:
        """The person at a time."""
        angle = self.phase + 2 * math.pi * self.rate * seconds
        figure = build_figure(
            walking_pose(self.pose, angle) if self.speed else swaying_pose(self.pose, angle),
            self.look,
            height=self.height,
            foot=(self.foot[0] + self.speed * seconds, self.foot[1]),
            pitch=self.pitch,
            seat=self.seat,
        )
        return Actor(self.nearness, figure)


def walking_pose(pose: Pose, angle: float) -> Pose:
    """A pose of the walking cycle: arms and legs swing against each other, the knee of the leg that comes forward bends."""
    swings = [math.sin(angle), -math.sin(angle)]
    lifts = [max(math.cos(angle), 0.0), max(-math.cos(angle), 0.0)]
    arms = [Limb(-0.35 * swing, 0.1, 0.35) for swing in swings]
    legs = [Limb(0.4 * swing + 0.05, 0.03, 0.15 + 0.7 * lift) for swing, lift in zip(swings, lifts)]
    return replace(pose, arms=(arms[0], arms[1]), legs=(legs[0], legs[1]))


def swaying_pose(pose: Pose, angle: float) -> Pose:
    """A pose with arms and trunk that swing a little."""
    left, right = (replace(arm, swing=arm.swing + SWAY * math.sin(angle + i)) for i, arm in enumerate(pose.arms))
    return replace(pose, arms=(left, right), lean=pose.lean + 0.04 * math.sin(angle))


def random_mover(
    rng: np.random.Generator,
    size: tuple[int, int],
    heights: tuple[float, float],
    nearness: float,
    variety: float = 1.0,
) -> Mover:
    """A person anywhere in a picture of ``size`` (W, H); who walks, walks towards the side that is farther away."""
    width, picture_height = size
    height = float((heights[0] + (heights[1] - heights[0]) * nearness) * picture_height * rng.uniform(0.9, 1.1))
    x = float(rng.uniform(0.1, 0.9) * width)
    pose, look, seat = random_pose(rng, variety), random_look(rng), random_color(rng)
    speed, rate = 0.0, float(rng.uniform(0.3, 0.8))
    if rng.random() < WALKERS:
        direction = 1.0 if x < width / 2 else -1.0
        in_heights = float(rng.uniform(*WALKING_SPEED))
        speed, rate = direction * in_heights * height, in_heights / STRIDE
        pose = replace(pose, kind="walking", yaw=direction * float(rng.normal(math.pi / 2, 0.2)), lean=0.05)
    foot = (x, float(ground_line(size, nearness) + rng.normal(0, 0.015) * picture_height))
    pitch, phase = float(rng.uniform(0.05, 0.2)), float(rng.uniform(0, 2 * math.pi))
    return Mover(pose, look, height, foot, pitch, nearness, seat, speed, rate, phase)
