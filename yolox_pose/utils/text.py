"""Word messages: counted nouns, suggestions for mistyped names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

SINGULARS = {"people": "person"}


def counted(number: int, nouns: str) -> str:
    """Return a number with its noun: ``1 image``, ``2,000 label files``, ``1 box clipped``.

    Args:
        number: Number of things.
        nouns: Plural, whose first word that ends in ``s`` is the noun. Words without a plural stay as they are.
    """
    words = nouns.split(" ")
    plurals = [i for i, word in enumerate(words) if word.endswith("s") or word in SINGULARS]
    if number == 1 and plurals:
        i = plurals[0]
        ending = "es" if words[i].endswith(("xes", "ches")) else "s"
        words[i] = SINGULARS.get(words[i], words[i].removesuffix(ending))
    return " ".join([f"{number:,}", *words])


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return ``; did you mean 'train'?`` for the known name that is closest to a mistyped one, or nothing."""
    close = get_close_matches(name.lower(), list(names), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
