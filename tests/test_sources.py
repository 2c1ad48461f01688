from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import sources
from harness.sources import fingerprint_of, normalised_source

PLAIN = """
import math

class Scale:
    def __init__(self, by):
        self.by = by

    async def times(self, x, *, y=None):
        return self.by * x if y is None else f"{x!r:>{y}}"
"""
SAME = '''"""What this is."""
import math  # for later
class Scale:
    """A scale."""
    def __init__(self, by):
        """Keep it."""


        self.by = (by)
    async def times(
        self,
        x,
        *,
        y=None,
    ):
        "Multiply."
        # the point of it all
        return self.by * x if y is None else f'{x!r:>{y}}'
'''


def text_of(source: str, path: Path) -> str:
    path.write_text(source, encoding="utf-8")
    return normalised_source(path)


def test_comments_docstrings_and_layout_do_not_count(tmp_path: Path) -> None:
    assert text_of(PLAIN, tmp_path / "a.py") == text_of(SAME, tmp_path / "b.py")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 2"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 'a'", "x = b'a'"),
        ("x = 'None'", "x = None"),
        ("x = '\u00e9'", "x = 'e'"),
        ("f(a, b)", "f((a, b))"),
        ("f(a=b)", "f(**{a: b})"),
        ("{**a, b: c}", "{a: a, b: c}"),
        ("def f(*, a, b=1): pass", "def f(*, a=1, b): pass"),
        ("x = ['a', 'b']", "x = [\"a','b\"]"),
        ("if a: b\nelse: c", "if a:\n b\n c"),
        ("x = 1\n'said, not documented'", "x = 1"),
    ],
)
def test_what_a_module_does_counts(one: str, other: str, tmp_path: Path) -> None:
    assert text_of(one, tmp_path / "a.py") != text_of(other, tmp_path / "b.py")


def test_fields_that_only_other_versions_of_python_have_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = text_of(PLAIN, tmp_path / "a.py")
    for kind, empty in ((ast.FunctionDef, []), (ast.ClassDef, []), (ast.Constant, None)):
        monkeypatch.setattr(kind, "_fields", (*kind._fields, "type_params"))
        monkeypatch.setattr(kind, "type_params", empty, raising=False)
    assert normalised_source(tmp_path / "a.py") == before


def test_the_form_is_fixed(tmp_path: Path) -> None:
    # Whoever changes the form makes every stored fingerprint stale: on purpose only.
    written = "Module(body=[Assign(targets=[Name(id='x',ctx=Store())],value=List(elts=[Constant()],ctx=Load()))])"
    assert text_of("x = [None]", tmp_path / "a.py") == written
    assert fingerprint_of([tmp_path / "a.py"], tmp_path) == "95c1f62db1f4839e"


def test_names_count_and_order_does_not(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.py", "b.py", "c.py")]
    for path in paths:
        path.write_text(f"x = '{path.name}'", encoding="utf-8")
    whole = fingerprint_of(paths, tmp_path)
    assert fingerprint_of(iter(paths[::-1]), tmp_path) == whole
    assert fingerprint_of(paths[:2], tmp_path) != whole
    assert fingerprint_of(paths, tmp_path.parent) != whole
    paths[2].rename(tmp_path / "d.py")
    assert fingerprint_of([*paths[:2], tmp_path / "d.py"], tmp_path) != whole
    with pytest.raises(ValueError, match="subpath"):
        fingerprint_of(paths[:1], tmp_path / "elsewhere")


def test_what_is_no_python_says_where(tmp_path: Path) -> None:
    with pytest.raises(SyntaxError, match=r"a\.py"):
        text_of("x = (", tmp_path / "a.py")


@given(st.text(), st.text())
def test_different_texts_stay_different(one: str, other: str) -> None:
    trees = [sources._text(ast.parse(f"x = {text!a}")) for text in (one, other)]
    assert (trees[0] == trees[1]) == (one == other)
    assert trees[0].isascii()
