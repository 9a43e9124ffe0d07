"""Moving people: they walk across the picture or sway on the spot.

The figure is built anew for every frame, so that annotations are as exact as those of single pictures.
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
"""Fraction of people who walk; the others sway on the spot."""
WALKING_SPEED = (0.3, 1.0)
"""Range in body heights per second; an adult walks at about 0.8."""
STRIDE = 0.8
"""Length of a double step in body heights."""
SWAY = 0.25
"""Amplitude of a swaying arm in radians."""


@dataclass(frozen=True)
class Mover:
    """Person whose position and pose are functions of time.

    Args:
        pose: Pose at rest.
        look: Build and clothes.
        height: Standing height in pixels.
        foot: Point (x, y) in the picture at time 0: the hips are above x, the lowest point is at y.
        pitch: Downward tilt of the view in radians.
        nearness: Distance from the viewer, from 0 (far) to 1 (near).
        seat: Color of the stool of a sitting person.
        speed: Speed to the right in pixels per second; 0 sways on the spot.
        rate: Cycles of the limbs per second.
        phase: Phase of the limbs at time 0, in radians.
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
        """Return the person at a time in seconds."""
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
    """Return a pose of the walking cycle, in which arms and legs swing in opposite directions and the forward knee bends."""
    swings = [math.sin(angle), -math.sin(angle)]
    lifts = [max(math.cos(angle), 0.0), max(-math.cos(angle), 0.0)]
    arms = [Limb(-0.35 * swing, 0.1, 0.35) for swing in swings]
    legs = [Limb(0.4 * swing + 0.05, 0.03, 0.15 + 0.7 * lift) for swing, lift in zip(swings, lifts)]
    return replace(pose, arms=(arms[0], arms[1]), legs=(legs[0], legs[1]))


def swaying_pose(pose: Pose, angle: float) -> Pose:
    """Return a pose with arms and trunk that sway a little."""
    left, right = (replace(arm, swing=arm.swing + SWAY * math.sin(angle + i)) for i, arm in enumerate(pose.arms))
    return replace(pose, arms=(left, right), lean=pose.lean + 0.04 * math.sin(angle))


def random_mover(
    rng: np.random.Generator,
    size: tuple[int, int],
    heights: tuple[float, float],
    nearness: float,
    variety: float = 1.0,
) -> Mover:
    """Draw a moving person; walkers walk toward the farther side of the picture.

    Args:
        rng: Source of all random numbers.
        size: (W, H) of the picture.
        heights: Standing heights of the farthest and the nearest people, as fractions of H.
        nearness: Distance from the viewer, from 0 (far) to 1 (near).
        variety: Probability of any pose; see :func:`yolox_pose.synthetic.scene.random_pose`.
    """
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
