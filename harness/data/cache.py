"""Feature files as memory-mapped arrays, converted once for all runs and processes.

One entry per file content (its SHA-256) and code that reads, checks and converts (a fingerprint of its sources),
below ``<cache>/features``::

    <sha256>-<code>/meta.json            sizes of all files, so that a damaged entry is noticed
    <sha256>-<code>/<split>/<array>.npy  float32 features and their time means, labels, lengths
    <sha256>-<code>/<split>/text.json    ids and raw texts
    <sha256>-<code>/check-<hash>.json    the findings, one file per definition that the content was held against
    <sha256>-<code>.lock                 held while an entry is made; the kernel drops it when its holder dies

Nothing of a definition changes the arrays, so a user's own grouping of a large set does not store it twice.
An entry is made in a temporary folder and renamed into place: it is there whole or not at all.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from harness.data.checks import Finding, check
from harness.data.files import Identity, fingerprint, identity
from harness.data.safe_pickle import read_pickle
from harness.data.storage import cannot_write, locked, need_space, write_atomically
from harness.data.values import as_text, blocks, numbers
from harness.disk import sync
from harness.errors import DataError
from harness.sources import fingerprint_of
from harness.spec import SPLITS, DatasetSpec, Shapes

__all__ = ["Features", "Split", "cache_folder", "is_of_today", "load_features", "open_features"]

_CODE = ("cache.py", "checks.py", "safe_pickle.py", "stand_ins.py", "values.py")  # they decide what is in an entry
_BERT_WIDTH = 768  # the width that MMSA gives text when it runs BERT itself
_FEATURES = ("text", "text_bert", "audio", "vision")
_AVERAGED = ("audio", "vision")
_LABELS = tuple(
    f"{kind}_labels{suffix}" for kind in ("regression", "classification") for suffix in ("", "_T", "_A", "_V")
)


@dataclass(frozen=True)
class Split:
    """One split of a data set; all arrays are read-only and share their rows.

    ``arrays``, float32, mapped from disk: ``text`` (N, L, d) and/or ``text_bert`` (N, 3, L), ``audio`` (N, La, da),
    ``vision`` (N, Lv, dv), their means over time ``audio_mean`` (N, 1, da) and ``vision_mean`` (N, 1, dv); and int64
    ``audio_lengths``, ``vision_lengths`` (N,) where the file has them.
    ``labels``: ``regression`` (N,) float32; where the file has them ``classification`` (N,) int64 in 0, 1, 2, and
    ``regression_T``, ``_A``, ``_V``, ``classification_T``, ``_A``, ``_V``.
    """

    name: str
    ids: tuple[str, ...]
    raw_text: tuple[str, ...]
    arrays: Mapping[str, NDArray[Any]]
    labels: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Features:
    """A converted feature file; ``shapes`` are the arrays' own.

    Without ready text features ``shapes.widths["text"]`` is 768, the width of BERT. ``findings`` are those of the
    definition it was opened with (`load_features` knows of none and leaves them empty).
    """

    sha256: str
    folder: Path
    shapes: Shapes
    findings: tuple[Finding, ...]
    splits: Mapping[str, Split]


def cache_folder(cache_dir: Path, sha256: str) -> Path:
    """Return where the arrays of the file with this SHA-256 are, or will be."""
    return cache_dir / "features" / f"{sha256}-{_code()}"


def is_of_today(entry: Path) -> bool:
    """Tell whether the code of today has made, and would read, an entry of the cache."""
    return entry.name.endswith(f"-{_code()}")


@functools.cache
def _code() -> str:
    here = Path(__file__).parent
    return fingerprint_of([here / name for name in _CODE], here)


def open_features(
    path: Path, definition: DatasetSpec, setting: str, cache_dir: Path, *, sha256: str | None = None
) -> Features:
    """Return the arrays of a feature file, checking and converting it first if that has not been done.

    Values are those of MMSA's loader, bit for bit: float32, -inf in audio 0, the means over time of
    ``need_normalized`` with NaN 0. Several processes may call this at once: one converts, the others wait.

    Parameters
    ----------
    path : Path
        The feature file, a pickle of MMSA's format.
    definition : DatasetSpec
        What it must fit.
    setting : str
        ``aligned`` or ``unaligned``.
    cache_dir : Path
        Where converted files are kept.
    sha256 : str, optional
        The file's fingerprint, if the caller knows it.

    Raises
    ------
    DataError
        If the file cannot be read or does not fit the definition.
    StoreError
        If the cache cannot be written, or the disk has too little space; nothing half made is left then.
    """
    seen = identity(path)
    digest = sha256 or fingerprint(path, cache_dir)
    folder = cache_folder(cache_dir, digest)
    note = folder / f"check-{_check_key(definition, setting)}.json"
    findings = _kept(folder, note)
    if findings is None:
        with locked(folder) as alone:
            findings = _kept(folder, note)  # somebody else may have been faster
            if findings is None:
                if alone:
                    _sweep(folder.parent, folder.name)
                findings = _make(path, seen, digest, folder, note, definition, setting)
    return replace(load_features(folder), findings=findings)


def load_features(folder: Path) -> Features:
    """Open a converted entry by its folder alone: maps the arrays, reads no pickle.

    Raises
    ------
    DataError
        If there is no whole entry in that folder.
    """
    meta = _meta(folder)
    if meta is None:
        raise DataError(
            "there are no whole converted features here",
            where=str(folder),
            hint="run the suite again: it converts the feature file anew",
        )
    splits: dict[str, Split] = {name: _load_split(folder, name, meta["splits"][name]) for name in SPLITS}
    train = splits["train"].arrays
    lengths = {"text": train["text"].shape[1] if "text" in train else train["text_bert"].shape[2]}
    widths = {"text": train["text"].shape[2] if "text" in train else _BERT_WIDTH}
    for modality in _AVERAGED:
        lengths[modality], widths[modality] = train[modality].shape[1:]
    shapes = Shapes.model_validate({"widths": widths, "lengths": lengths})
    return Features(meta["sha256"], folder, shapes, (), MappingProxyType(splits))


def _load_split(folder: Path, name: str, keys: Mapping[str, list[str]]) -> Split:
    def array(key: str, *, mapped: bool) -> NDArray[Any]:
        loaded = np.load(folder / name / f"{key}.npy", mmap_mode="r" if mapped else None, allow_pickle=False)
        loaded.flags.writeable = False
        return np.asarray(loaded)

    texts = json.loads((folder / name / "text.json").read_text(encoding="utf-8"))
    return Split(
        name,
        tuple(texts["id"]),
        tuple(texts["raw_text"]),
        MappingProxyType({key: array(key, mapped=not key.endswith("_lengths")) for key in keys["arrays"]}),
        MappingProxyType({key: array(key, mapped=False) for key in keys["labels"]}),
    )


def _meta(folder: Path) -> dict[str, Any] | None:
    """Return the entry's description if all its files are there in full size."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        whole = all((folder / name).stat().st_size == size for name, size in meta["files"].items())
        return dict(meta) if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _kept(folder: Path, note: Path) -> tuple[Finding, ...] | None:
    """Return the findings of an earlier check, or None if the entry has to be made or checked."""
    if _meta(folder) is None:
        return None
    try:
        return tuple(Finding(**finding) for finding in json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _check_key(definition: DatasetSpec, setting: str) -> str:
    """Hash what the checks look at."""
    fields = {"name", "label_range", "widths", "groups", "samples", "unimodal_labels", "settings"}
    asked = [setting, definition.model_dump(mode="json", include=fields)]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def _sweep(features: Path, mine: str) -> None:
    """Remove what conversions left behind that were killed: their locks are free, and `mine` is held by the caller."""
    for leftover in features.glob(".tmp-*"):
        entry = leftover.name.removeprefix(".tmp-").rpartition("-")[0]
        if entry == mine:
            shutil.rmtree(leftover, ignore_errors=True)
            continue
        with suppress(OSError), (features / f"{entry}.lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(leftover, ignore_errors=True)


def _make(
    path: Path,
    seen: Identity,
    sha256: str,
    folder: Path,
    note: Path,
    definition: DatasetSpec,
    setting: str,
) -> tuple[Finding, ...]:
    """Check the file, convert it unless only the check was missing, and keep the findings."""
    raw = read_pickle(path)
    if identity(path) != seen:
        raise DataError("the file changed while it was read", where=str(path), hint="wait until it is complete")
    report = check(raw, definition, setting, file=str(path), sha256=sha256)
    report.raise_if_bad()
    if _meta(folder) is None:
        _convert(raw, sha256, folder)
    findings = json.dumps([asdict(finding) for finding in report.findings], indent=1)
    write_atomically(note, lambda file: file.write(findings.encode()))
    return report.findings


def _convert(raw: dict[str, Any], sha256: str, folder: Path) -> None:
    need_space(folder.parent, _needed(raw), "converting the feature file")
    draft = folder.with_name(f".tmp-{folder.name}-{uuid.uuid4().hex[:12]}")
    try:
        splits = {}
        for name in SPLITS:
            (draft / name).mkdir(parents=True)
            splits[name] = _write_split(raw[name], draft / name)
            sync(draft / name)
        files = {str(p.relative_to(draft)): p.stat().st_size for p in sorted(draft.rglob("*")) if p.is_file()}
        meta = {"sha256": sha256, "splits": splits, "files": files}
        _write(draft / "meta.json", lambda file: file.write(json.dumps(meta, indent=1).encode()))
        sync(draft)
        _put_in_place(draft, folder)
        sync(folder.parent)
    except OSError as error:
        raise cannot_write(folder.parent, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _put_in_place(draft: Path, folder: Path) -> None:
    """Rename an entry into place, unless a whole one is there: without locks, somebody may have been faster."""
    if _meta(folder) is not None:
        return
    damaged = folder.with_name(f".tmp-{folder.name}-{uuid.uuid4().hex[:12]}")
    with suppress(FileNotFoundError):
        folder.rename(damaged)  # whoever has it mapped keeps it
    try:
        draft.rename(folder)
    except OSError:
        if _meta(folder) is None:
            raise
    finally:
        shutil.rmtree(damaged, ignore_errors=True)


def _needed(raw: Mapping[str, Any]) -> int:
    """Bytes that the converted entry takes."""
    total = 0
    for split in (raw[name] for name in SPLITS):
        total += sum(4 * split[key].size for key in _FEATURES if key in split)
        total += 256 * len(split["id"])  # labels, lengths, ids, texts
        total += sum(4 * split[key].shape[0] * split[key].shape[2] for key in _AVERAGED if key in split)
    return total


def _write_split(split: dict[str, Any], folder: Path) -> dict[str, list[str]]:
    """Write one split's files; each large array is let go as soon as it is written."""
    texts = {key: [as_text(item) for item in split[key]] for key in ("id", "raw_text")}
    _write(folder / "text.json", lambda file: file.write(json.dumps(texts).encode()))
    arrays: list[str] = []
    for key in _FEATURES:
        if key in split:
            arrays += _write_features(split.pop(key), key, folder)
    for key in ("audio_lengths", "vision_lengths"):
        if key in split:
            _save(folder / f"{key}.npy", _checked(split[key]).astype(np.int64))
            arrays.append(key)
    labels: list[str] = []
    for key in _LABELS:
        if key in split:
            name = key.replace("_labels", "")
            dtype = np.float32 if name.startswith("regression") else np.int64
            _save(folder / f"{name}.npy", _checked(split[key]).astype(dtype))
            labels.append(name)
    return {"arrays": arrays, "labels": labels}


def _checked(value: Any) -> NDArray[np.float64]:
    """Return labels or step counts; float64 holds every one that the checks let through."""
    array = numbers(value)
    assert array is not None
    return array


def _write_features(array: NDArray[Any], key: str, folder: Path) -> list[str]:
    """Write one feature array, and for audio and vision its mean over time, block by block."""
    means: list[NDArray[np.float32]] = []

    def write(file: IO[bytes]) -> None:
        # By hand instead of through a memory map: a full disk is an error here, and a crash (SIGBUS) there.
        header = {"descr": np.dtype(np.float32).str, "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_1_0(file, header)
        for _, block in blocks(array):
            if key == "audio":
                block[block == -np.inf] = 0
            if key in _AVERAGED:
                means.append(_time_mean(block))
            file.write(np.ascontiguousarray(block).data)

    _write(folder / f"{key}.npy", write)
    if not means:
        return [key]
    _save(folder / f"{key}_mean.npy", np.concatenate(means))
    return [key, f"{key}_mean"]


def _time_mean(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average (N, L, d) over time to (N, 1, d) in MMSA's order of operations; the order decides the last bits."""
    with np.errstate(invalid="ignore", over="ignore"):
        mean = np.mean(block.transpose(1, 0, 2), axis=0, keepdims=True)
    mean[np.isnan(mean)] = 0
    return np.asarray(mean.transpose(1, 0, 2))


def _save(path: Path, array: NDArray[Any]) -> None:
    _write(path, lambda file: np.save(file, array, allow_pickle=False))


def _write(path: Path, write: Any) -> None:
    with path.open("xb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
