"""From drawings to files: each as SVG, PDF and CSV, and only when something in it has changed.

A `Drawing` says what to draw from which numbers; `save` keeps, in an index beside the files, what each was made from,
and leaves alone what would come out the same.
"""

from __future__ import annotations

import json
import multiprocessing
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from harness.disk import replace_file
from harness.errors import StoreError
from harness.figures import style
from harness.figures.svg import adapted
from harness.sources import fingerprint_of

__all__ = ["Drawing", "Missing", "Saved", "save"]

_INDEX = "figures.json"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_ENDINGS = (".svg", ".pdf", ".csv")
_FEW = 4  # drawings that are made sooner than a second process has started


@dataclass(frozen=True)
class Drawing:
    """One figure, not drawn yet. Pickles, so that another process can draw it, where `draw` and `data` do.

    Attributes
    ----------
    name : str
        File name without ending, and prefix of ids: a letter, then letters, digits and hyphens (see `style.slug`).
    title, caption : str
        Plain text. The caption says what is shown, over what, with which n, and that synthetic data is synthetic.
    draw : callable
        Makes the figure from the numbers, called within `harness.figures.style.applied`. A function of a module, or a
        `functools.partial` of one whose arguments are plain values (their ``repr`` is part of what is compared).
    data : DataFrame or callable
        The plotted numbers, written as CSV beside the picture; or how to get them, where that takes long.
    key : str
        What the numbers depend on; needed where `data` is a callable, otherwise the numbers speak for themselves.
    kind, place : str
        What sort of figure this is (``forest``), and the data set and task it belongs to (the slug of their table).
    """

    name: str
    title: str
    caption: str
    draw: Callable[[pd.DataFrame], Figure]
    data: pd.DataFrame | Callable[[], pd.DataFrame]
    key: str = ""
    kind: str = ""
    place: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"not a name of a figure: {self.name!r}")
        if not self.key and not isinstance(self.data, pd.DataFrame):
            raise ValueError(f"the figure {self.name} needs a key, since its data is yet to be computed")

    @property
    def content_key(self) -> str:
        """A hash of everything that the files depend on: numbers, words, this room's code, matplotlib and fonts."""
        numbers = _csv(self.data) if isinstance(self.data, pd.DataFrame) else b""
        words = [self.name, self.title, self.caption, self.key, *_settings(self.draw), *_drawn_by()]
        return sha256("\0".join(words).encode() + b"\0" + numbers).hexdigest()


@dataclass(frozen=True)
class Missing:
    """A figure that cannot be drawn: its title, and why, as one sentence."""

    title: str
    reason: str
    kind: str = ""
    place: str = ""


@dataclass(frozen=True)
class Saved:
    """A figure in its folder; ``drawn`` says whether it was made anew."""

    name: str
    title: str
    caption: str
    svg: Path
    pdf: Path
    csv: Path
    drawn: bool
    kind: str = ""
    place: str = ""


def save(drawings: Iterable[Drawing], folder: Path, *, workers: int = 1) -> tuple[Saved, ...]:
    """Write ``<name>.svg``, ``.pdf`` and ``.csv`` of every drawing, and remove figures that are no longer wanted.

    What the index says was made from the same is left alone, and what the index does not name is never removed.

    Parameters
    ----------
    drawings : iterable of Drawing
        With names of their own.
    folder : Path
        Created if missing.
    workers : int
        Processes that draw; the files are the same whatever their number.

    Returns
    -------
    tuple of Saved
        In the order of `drawings`.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    ValueError
        If two drawings share a name.
    """
    asked = tuple(drawings)
    names = [drawing.name for drawing in asked]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"figures with the same name: {', '.join(twice)}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = _read_index(folder / _INDEX)
        keys = {drawing.name: drawing.content_key for drawing in asked}
        stale = [d for d in asked if before.get(d.name) != keys[d.name] or not _there(folder, d.name)]
        if stale or set(before) - set(keys):
            # Until a figure is whole again, the index says that it is ours but not what is in it.
            _write_index(folder / _INDEX, {**before, **dict.fromkeys((d.name for d in stale), "")})
            _draw_all(stale, folder, workers)
            _remove(folder, set(before) - set(keys))
            _write_index(folder / _INDEX, keys)
    except OSError as error:
        raise StoreError(
            f"cannot write the figures: {error.strerror or error}",
            where=str(folder),
            hint="check space and permissions there, or name another folder with --reports-dir",
        ) from error
    drawn = {drawing.name for drawing in stale}
    return tuple(_saved(drawing, folder, drawing.name in drawn) for drawing in asked)


def _saved(drawing: Drawing, folder: Path, drawn: bool) -> Saved:
    svg, pdf, csv = (folder / f"{drawing.name}{ending}" for ending in _ENDINGS)
    return Saved(drawing.name, drawing.title, drawing.caption, svg, pdf, csv, drawn, drawing.kind, drawing.place)


def _draw_all(drawings: Sequence[Drawing], folder: Path, workers: int) -> None:
    if workers < 2 or len(drawings) <= _FEW:
        for drawing in drawings:
            _draw_one(folder, drawing)
        return
    # Not by fork: the report may run threads, and torch does.
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(min(workers, len(drawings)), mp_context=context) as pool:
        for _ in pool.map(partial(_draw_one, folder), drawings):
            pass


def _draw_one(folder: Path, drawing: Drawing) -> None:
    data = drawing.data if isinstance(drawing.data, pd.DataFrame) else drawing.data()
    with style.applied(drawing.name):
        figure = drawing.draw(data)
        if figure.get_layout_engine() is not None:
            style.settle(figure)
        svg, pdf = BytesIO(), BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None})
        figure.savefig(pdf, format="pdf", metadata={"CreationDate": None, "Title": drawing.title})
    picture = adapted(svg.getvalue(), drawing.name, drawing.title, drawing.caption)
    for ending, content in zip(_ENDINGS, (picture, pdf.getvalue(), _csv(data)), strict=True):
        _write(folder / f"{drawing.name}{ending}", content)


def _write(path: Path, content: bytes) -> None:
    replace_file(path, lambda file: file.write(content))


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, lineterminator="\n").encode()


def _settings(draw: Callable[..., Any]) -> Iterator[str]:
    if isinstance(draw, partial):
        yield repr((draw.args, sorted(draw.keywords.items())))
        yield from _settings(draw.func)
    else:
        yield f"{draw.__module__}.{draw.__qualname__}"


@cache
def _drawn_by() -> tuple[str, ...]:
    room = Path(__file__).parent
    return (fingerprint_of(room.glob("*.py"), room), mpl.__version__, *style.families())


def _there(folder: Path, name: str) -> bool:
    return all((folder / f"{name}{ending}").is_file() for ending in _ENDINGS)


def _remove(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        for ending in _ENDINGS:
            with suppress(FileNotFoundError):
                (folder / f"{name}{ending}").unlink()


def _read_index(path: Path) -> dict[str, str]:
    """Return what each figure was made from; nothing where the index is missing or damaged."""
    try:
        found = json.loads(path.read_bytes())["figures"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
    if not isinstance(found, dict):
        return {}
    # A name that is no name of ours could lead out of the folder.
    return {name: str(key) for name, key in found.items() if _NAME.fullmatch(name)}


def _write_index(path: Path, keys: Mapping[str, str]) -> None:
    text = json.dumps({"figures": dict(sorted(keys.items()))}, indent=1)
    _write(path, f"{text}\n".encode())
