"""Lists and plurals."""

from __future__ import annotations

from harness.wording import counted, listing


def test_lists_read_as_prose() -> None:
    assert [listing(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def test_one_is_singular_and_everything_else_plural() -> None:
    assert [counted(n, "seed") for n in (0, 1, 2, 1000)] == ["0 seeds", "1 seed", "2 seeds", "1,000 seeds"]
