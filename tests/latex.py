"""Compiling LaTeX for tests: real engines, no errors, nothing that sticks out, and what the pages show."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["ENGINES", "Compiled", "compile_tex", "has_font"]

ENGINES = {"pdflatex": "texlive-latex-extra, texlive-science", "xelatex": "texlive-xetex"}
"""Engine to the Debian packages that it comes with."""
_BAD = r"^(?:Overfull .*|(?:LaTeX|Package \w+) Warning: .*(?:undefined|not found).*|Missing character.*)$"


@dataclass(frozen=True)
class Compiled:
    """A document that compiled."""

    pdf: Path
    log: str

    @functools.cached_property
    def text(self) -> str:
        """What the pages say, line by line as laid out; skips the test where poppler is missing."""
        _need("pdftotext", "poppler-utils")
        told = subprocess.run(["pdftotext", "-layout", self.pdf, "-"], capture_output=True, check=True, timeout=60)
        return told.stdout.decode("utf-8")

    def images(self, dpi: int = 75) -> list[Path]:
        """Return the pages as PNG files beside the document; skips the test where poppler is missing."""
        _need("pdftoppm", "poppler-utils")
        stem = self.pdf.with_suffix("")
        subprocess.run(["pdftoppm", "-r", str(dpi), "-png", self.pdf, stem], check=True, timeout=120)
        return sorted(self.pdf.parent.glob(f"{stem.name}-*.png"))


def compile_tex(folder: Path, main: str, engine: str = "pdflatex", *, runs: int = 2) -> Compiled:
    """Compile ``folder/main`` and return what came out.

    Fails on errors, overfull boxes, undefined references, missing files and missing letters; skips where the engine is
    not installed. Two runs settle what is collected, such as a list of tables.
    """
    _need(engine, ENGINES[engine])
    # Long lines are not broken, so that every warning stands on one.
    environment = {**os.environ, "max_print_line": "10000"}
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", main]
    for _ in range(runs):
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=120
        )
        assert done.returncode == 0, done.stdout[-3000:]
    written = folder / main
    log = written.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
    bad = re.findall(_BAD, log, flags=re.MULTILINE)
    assert not bad, "\n".join(bad)
    return Compiled(written.with_suffix(".pdf"), log)


def has_font(name: str) -> bool:
    """Return whether a font is installed."""
    if shutil.which("fc-list") is None:
        return False
    return bool(subprocess.run(["fc-list", name], capture_output=True, check=True, timeout=60).stdout)


def _need(program: str, packages: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (Debian: {packages})")
