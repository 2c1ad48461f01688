"""What a user knows about utterances: translations, and notes on voice and face."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError

__all__ = ["Remark", "read_remarks"]

_COLUMNS = ("translation", "acoustic", "visual")


@dataclass(frozen=True)
class Remark:
    """A translation of what is said, how it is said, and how it looks; empty where nothing is known."""

    translation: str = ""
    acoustic: str = ""
    visual: str = ""


def read_remarks(path: Path) -> Mapping[str, Remark]:
    """Read a CSV file with a column ``id`` and any of ``translation``, ``acoustic`` and ``visual``.

    Raises
    ------
    InputError
        If the file cannot be read, has no such columns, or names an utterance twice; says file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"cannot read the notes: {said}", where=str(path), hint="name a CSV file in UTF-8") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    found: dict[str, Remark] = {}
    try:
        columns = reader.fieldnames or []
        unknown = [name for name in columns if name not in ("id", *_COLUMNS)]
        if "id" not in columns or unknown:
            raise ValueError(f"the first line names {', '.join(map(repr, columns)) or 'no column'}")
        for line in reader:
            if None in line or None in line.values():
                raise ValueError("more or fewer fields than columns")
            if line["id"] in found:
                raise ValueError(f"the utterance {line['id']!r} stands twice")
            found[line["id"]] = Remark(**{name: line[name].strip() for name in _COLUMNS if name in line})
    except (ValueError, csv.Error) as error:
        raise InputError(
            f"not usable as notes on utterances: {error}",
            where=f"{path}:{max(reader.reader.line_num, 1)}",
            hint=f"the first line names id and any of {', '.join(_COLUMNS)}, and each line has as many fields",
        ) from error
    return found
