"""Python sources as fingerprints: what was computed is tied to the code that computed it."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["fingerprint_of", "normalised_source"]


def fingerprint_of(paths: Iterable[Path], root: Path) -> str:
    """Hash what modules say: their names below `root` and their `normalised_source`, in whatever order they come.

    Returns
    -------
    str
        16 hexadecimal digits, the same on every supported version of Python.

    Raises
    ------
    OSError
        If a module cannot be read.
    SyntaxError
        If it is not Python.
    ValueError
        If it is not below `root`.
    """
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(root).as_posix(), path) for path in paths):
        digest.update(f"{name}\0{normalised_source(path)}\0".encode())
    return digest.hexdigest()[:16]


def normalised_source(path: Path) -> str:
    """Return a module as text without what changes no result: comments, docstrings, layout.

    Raises
    ------
    OSError
        If the module cannot be read.
    SyntaxError
        If it is not Python.
    """
    tree = ast.parse(path.read_bytes(), filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            _drop_docstring(node)
    return _text(tree)


def _drop_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    if ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:]


def _text(value: object) -> str:
    """Write a syntax tree down.

    Not with `ast.dump`: its form differs between versions of Python, and so do the fields that a node has. New ones
    are None or an empty list where their syntax is not used, so those are left out.
    """
    if isinstance(value, ast.AST):
        fields = (
            f"{name}={_text(field)}" for name, field in ast.iter_fields(value) if field is not None and field != []
        )
        return f"{type(value).__name__}({','.join(fields)})"
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    return ascii(value)  # not repr: which characters it escapes depends on the version of Unicode
