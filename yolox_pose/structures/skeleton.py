"""Skeletons: names, links, mirror pairs, OKS sigmas and colors of a set of keypoints.

Models, data sets and evaluations take the same ``skeleton`` setting: a key of :data:`SKELETONS` or a dict of
:class:`Skeleton` fields. The skeleton defines their number of keypoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

LEFT_COLOR, RIGHT_COLOR, MIDDLE_COLOR = (255, 153, 51), (0, 128, 255), (102, 204, 0)
"""Default BGR colors of a keypoint or link on the person's left, right and middle."""


@dataclass(frozen=True)
class Skeleton:
    """Description of K keypoints.

    Args:
        names: The K keypoint names, in annotation order.
        links: Pairs of keypoint indices (0-based) that are drawn as limbs.
        flip_pairs: Pairs of keypoint indices, left and right, that swap when an image is mirrored.
        sigmas: The K OKS constants. If empty, 1/K for every keypoint, as COCO tools assume.
        point_colors: The K colors, BGR. If empty, they follow from the side of the body in the names.
        limb_colors: Color of each link, BGR. If empty, it follows from its ends.

    Raises:
        ValueError: If an index is outside ``[0, K)``, a keypoint is in two flip pairs, a sigma is not positive, or there are
            too few sigmas or colors.
    """

    names: tuple[str, ...]
    links: tuple[tuple[int, int], ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = ()
    point_colors: tuple[tuple[int, int, int], ...] = ()
    limb_colors: tuple[tuple[int, int, int], ...] = ()

    def __post_init__(self) -> None:
        # Convert the fields to plain tuples
        names = tuple(str(name) for name in self.names)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "links", tuple((int(a), int(b)) for a, b in self.links))
        object.__setattr__(self, "flip_pairs", tuple((int(a), int(b)) for a, b in self.flip_pairs))
        sigmas = tuple(float(s) for s in self.sigmas) or tuple(1.0 / max(len(names), 1) for _ in names)
        object.__setattr__(self, "sigmas", sigmas)

        # Check the indices of pairs
        for field, pairs in (("links", self.links), ("flip_pairs", self.flip_pairs)):
            bad = [pair for pair in pairs if not all(0 <= i < len(names) for i in pair)]
            if bad:
                raise ValueError(f"skeleton {field} {bad} name a keypoint outside 0..{len(names) - 1}")

        # Check the number of colors
        for field, count in (("point_colors", len(names)), ("limb_colors", len(self.links))):
            colors = tuple((int(b), int(g), int(r)) for b, g, r in getattr(self, field))
            object.__setattr__(self, field, colors)
            if len(colors) not in (0, count):
                raise ValueError(f"skeleton has {len(colors)} {field}, expected {count} or none")

        # Check flip pairs and sigmas
        flipped = [i for pair in self.flip_pairs for i in pair]
        if len(set(flipped)) != len(flipped):
            raise ValueError(f"skeleton flip_pairs use a keypoint twice: {list(self.flip_pairs)}")
        if len(sigmas) != len(names):
            raise ValueError(f"skeleton has {len(names)} keypoints but {len(sigmas)} sigmas")
        if any(not s > 0 for s in sigmas):
            raise ValueError(f"skeleton sigmas must be positive, found {[s for s in sigmas if not s > 0]}")

    @property
    def num_keypoints(self) -> int:
        """Number of keypoints, K."""
        return len(self.names)

    @property
    def flip_indices(self) -> np.ndarray:
        """Permutation of shape (K,), int64: keypoint k of a mirrored image is keypoint ``flip_indices[k]`` of the original."""
        indices = np.arange(self.num_keypoints)
        for a, b in self.flip_pairs:
            indices[a], indices[b] = b, a
        return indices

    @cached_property
    def sides(self) -> tuple[str, ...]:
        """Side of each keypoint, ``'left'``, ``'right'`` or ``'middle'``, from its name."""
        words = (set(name.lower().replace("-", "_").replace(" ", "_").split("_")) for name in self.names)
        return tuple("left" if w & {"left", "l"} else "right" if w & {"right", "r"} else "middle" for w in words)

    @cached_property
    def keypoint_colors(self) -> tuple[tuple[int, int, int], ...]:
        """BGR color of each keypoint: ``point_colors``, else the default of its side."""
        if self.point_colors:
            return self.point_colors
        table = {"left": LEFT_COLOR, "right": RIGHT_COLOR, "middle": MIDDLE_COLOR}
        return tuple(table[side] for side in self.sides)

    @cached_property
    def link_colors(self) -> tuple[tuple[int, int, int], ...]:
        """BGR color of each link: ``limb_colors``, else the color of its ends if both are on one side, else the middle color."""
        if self.limb_colors:
            return self.limb_colors
        colors, sides = self.keypoint_colors, self.sides
        return tuple(colors[a] if sides[a] == sides[b] else MIDDLE_COLOR for a, b in self.links)

    def to_dict(self) -> dict:
        """Convert to a dict of lists, strings and numbers, as stored in configs, checkpoints and JSON."""
        return {key: [list(v) if isinstance(v, tuple) else v for v in value] for key, value in asdict(self).items()}


COCO_PERSON = Skeleton(
    names=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
        "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
        "right_ankle",
    ),
    links=(
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
        (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
    ),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
        0.089, 0.089,
    ),
)  # fmt: skip
"""COCO person keypoints; sigmas as in the COCO keypoint evaluation (cocoeval.py)."""

SKELETONS: dict[str, Skeleton] = {"coco": COCO_PERSON}


def get_skeleton(skeleton: str | Mapping | Skeleton | Sequence[str]) -> Skeleton:
    """Convert a ``skeleton`` setting to a :class:`Skeleton`.

    Args:
        skeleton: Key of :data:`SKELETONS`, mapping of :class:`Skeleton` fields, list of keypoint names, or a
            :class:`Skeleton`.

    Raises:
        ValueError: If the name or a field is unknown, or the fields contradict each other.
    """
    if isinstance(skeleton, Skeleton):
        return skeleton
    if isinstance(skeleton, str):
        if skeleton not in SKELETONS:
            raise ValueError(f"unknown skeleton {skeleton!r}; known: {', '.join(sorted(SKELETONS))}, or give a dict")
        return SKELETONS[skeleton]
    if isinstance(skeleton, Mapping):
        unknown = sorted(set(skeleton) - set(Skeleton.__dataclass_fields__))
        if unknown or "names" not in skeleton:
            problem = f"unknown fields {unknown}" if unknown else "no field 'names'"
            raise ValueError(f"skeleton: {problem}; fields are {', '.join(Skeleton.__dataclass_fields__)}")
        return Skeleton(**{key: tuple(value) for key, value in skeleton.items()})
    return Skeleton(names=tuple(skeleton))
