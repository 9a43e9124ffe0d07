"""Settings that choose detections: score threshold, NMS and limits, under one set of names.

A config's ``test_cfg``, the Python API, the command line and ``model.json`` all use the names of :class:`PostprocessSettings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

from yolox_pose.errors import UsageError

NMS_TYPES = ("box", "oks", "box_oks")
"""NMS compares boxes by IoU, poses by OKS, or both."""

SOFT_NMS_METHODS = ("none", "linear", "gaussian")
"""``'none'`` drops duplicates. The others lower their scores (Bodla et al., Soft-NMS, ICCV 2017)."""


class PostprocessSettings(NamedTuple):
    """Settings that choose the detections of an image.

    Attributes:
        score_thr: Lowest score of a detection, ``class * objectness`` probability.
        nms_pre: Maximum number of candidates that enter NMS. The best ones are taken.
        nms_thr: IoU above which two boxes of one class are duplicates. 1 switches NMS by boxes off.
        max_per_img: Maximum number of detections per image.
        classes: Labels to detect; None for all.
        nms_type: One of :data:`NMS_TYPES`. With ``'box_oks'``, boxes and poses must both be above their thresholds.
        oks_thr: OKS above which two poses are duplicates.
        soft_nms: One of :data:`SOFT_NMS_METHODS`.
        soft_sigma: Sigma of the ``'gaussian'`` soft-NMS.
    """

    score_thr: float = 0.01
    nms_pre: int = 3000
    nms_thr: float = 0.65
    max_per_img: int = 300
    classes: tuple[int, ...] | None = None
    nms_type: str = "box"
    oks_thr: float = 0.5
    soft_nms: str = "none"
    soft_sigma: float = 0.5

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], name: str = "") -> PostprocessSettings:
        """Build settings from a mapping and check every value.

        Args:
            values: Fields of this class; absent fields keep their defaults.
            name: Name of the mapping in error messages, such as ``test_cfg``.

        Raises:
            UsageError: If a field is unknown or its value is out of range.
        """
        return cls().override(values, name)

    def override(self, values: Mapping[str, Any], name: str = "") -> PostprocessSettings:
        """Return a copy with other values, all of them checked.

        Args:
            values: Fields to replace.
            name: Name of the mapping in error messages.

        Raises:
            UsageError: If a field is unknown or its value is out of range.
        """
        check_settings(values, name)
        classes = values.get("classes", self.classes)
        return self._replace(**{**values, "classes": None if classes is None else tuple(classes)})


_CHOICES = {"nms_type": NMS_TYPES, "soft_nms": SOFT_NMS_METHODS}
_FRACTIONS = ("score_thr", "nms_thr", "oks_thr")
_COUNTS = ("nms_pre", "max_per_img")


def settings_overrides(
    *,
    score_thr: float | None = None,
    nms_thr: float | None = None,
    max_per_img: int | None = None,
    nms_type: str | None = None,
    oks_thr: float | None = None,
    soft_nms: str | None = None,
    soft_sigma: float | None = None,
) -> dict[str, Any]:
    """Collect and check the settings that a caller overrides.

    Each argument is a field of :class:`PostprocessSettings`. None keeps the setting of the model.

    Returns:
        Fields for :meth:`PostprocessSettings.override`.

    Raises:
        UsageError: If a value is out of range.
    """
    arguments = {
        "score_thr": score_thr,
        "nms_thr": nms_thr,
        "max_per_img": max_per_img,
        "nms_type": nms_type,
        "oks_thr": oks_thr,
        "soft_nms": soft_nms,
        "soft_sigma": soft_sigma,
    }
    overrides = {field: value for field, value in arguments.items() if value is not None}
    check_settings(overrides)
    return overrides


def check_settings(values: Mapping[str, Any], name: str = "") -> None:
    """Check the names and ranges of settings.

    Args:
        values: Some fields of :class:`PostprocessSettings`.
        name: Name of the mapping in error messages.

    Raises:
        UsageError: If a field is unknown or its value is out of range.
    """
    prefix = f"{name}: " if name else ""
    fields = PostprocessSettings._fields
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise UsageError(f"{prefix}unknown settings {', '.join(unknown)}; known: {', '.join(fields)}")
    for field, value in values.items():
        expected = _problem(field, value)
        if expected:
            raise UsageError(f"{prefix}{field} must be {expected}, not {value!r}")


def _problem(field: str, value: Any) -> str:
    """Return the values that a field takes if ``value`` is none of them, else an empty string."""
    if field in _CHOICES:
        return "" if value in _CHOICES[field] else f"one of {', '.join(_CHOICES[field])}"
    if field in _COUNTS:
        return "" if _is_integer(value) and value >= 1 else "at least 1"
    if field in _FRACTIONS:
        return "" if _is_number(value) and 0 <= value <= 1 else "between 0 and 1"
    if field == "soft_sigma":
        return "" if _is_number(value) and value > 0 else "above 0"
    labels = isinstance(value, (list, tuple)) and all(_is_integer(label) and label >= 0 for label in value)
    return "" if value is None or (labels and value) else "a list of labels or None"


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
