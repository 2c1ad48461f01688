"""Small things of English prose that captions, notes and findings share."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["counted", "listing"]


def listing(words: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def counted(count: int, noun: str) -> str:
    """Return ``1 seed`` or ``5 seeds``, for nouns that take an s."""
    return f"{count:,} {noun}{'s' if count != 1 else ''}"
