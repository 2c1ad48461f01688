"""What is wrong with a feature file, found before anything is trained on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.data.definitions import setting_of
from harness.data.values import as_text, non_finite, numbers
from harness.errors import DataError
from harness.spec import SPLITS, DatasetSpec

__all__ = ["CheckReport", "Finding", "check"]

_REQUIRED = ("id", "raw_text", "audio", "vision", "regression_labels")
_UNIMODAL = ("T", "A", "V")
_BEYOND_FLOAT = 2**53  # from here on float64 has no longer every whole number
_SHOWN = 8
_EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    ``level`` is ``error`` (the file cannot be used), ``warning`` (it can, and somebody should look) or ``note``;
    ``where`` is a place such as ``train.audio``; ``count`` is how many values, samples or ids it concerns.
    """

    level: Literal["error", "warning", "note"]
    where: str
    message: str
    count: int = 1


@dataclass(frozen=True)
class CheckReport:
    """What a check of one feature file found; ``summary`` holds sample counts and array shapes per split."""

    file: str
    sha256: str
    dataset: str
    setting: str
    findings: tuple[Finding, ...]
    summary: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the file can be used: no finding is an error."""
        return not any(finding.level == "error" for finding in self.findings)

    def as_rows(self) -> list[dict[str, Any]]:
        """Return the findings as table rows: level, where, message, count; errors first."""
        order = {"error": 0, "warning": 1, "note": 2}
        return [asdict(finding) for finding in sorted(self.findings, key=lambda f: order[f.level])]

    def raise_if_bad(self) -> None:
        """Raise if the file cannot be used.

        Raises
        ------
        DataError
            Listing up to 8 of the errors.
        """
        errors = [f"{finding.where}: {finding.message}" for finding in self.findings if finding.level == "error"]
        if not errors:
            return
        more = f"\n  ... and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        raise DataError(
            f"the feature file does not fit data set {self.dataset} ({self.setting}), {len(errors)} error(s):\n  "
            + "\n  ".join(errors[:_SHOWN])
            + more,
            where=self.file,
            hint="mend the file, or write a definition that describes it ('harness data check FILE' lists everything)",
        )


def check(
    raw: Mapping[str, Any], definition: DatasetSpec, setting: str, *, file: str = "", sha256: str = ""
) -> CheckReport:
    """Hold the content of a feature file against the definition of its data set.

    Parameters
    ----------
    raw : mapping
        What `read_pickle` returned. It is not changed; large arrays are looked at in blocks.
    definition : DatasetSpec
        What the file should be.
    setting : str
        ``aligned`` or ``unaligned``.
    file, sha256 : str, optional
        Where the content comes from, for the report; a SHA-256 other than the definition's is a warning.

    Raises
    ------
    DataError
        If the data set has no such setting, or the content is so odd that looking at it fails.
    """
    checker = _Checker(definition, setting)
    try:
        _check_all(checker, raw, sha256)
    except (ArithmeticError, MemoryError, RecursionError, SystemError, ValueError) as error:
        raise DataError(
            f"the content cannot be checked: {str(error)[:200] or type(error).__name__}",
            where=file,
            hint="free some memory if that is short; otherwise write the file again with plain numbers and texts",
        ) from error
    return CheckReport(file, sha256, definition.name, setting, tuple(checker.findings), checker.summary)


def _check_all(checker: _Checker, raw: Mapping[str, Any], sha256: str) -> None:
    expected = checker.setting.sha256
    if expected and sha256 and sha256 != expected:
        checker.add("warning", "file", f"its SHA-256 is {sha256}, the published one is {expected}")
    for name in SPLITS:
        split = raw.get(name)
        if not isinstance(split, Mapping):
            what = "is missing" if split is None else f"is a {type(split).__name__}, not a dictionary"
            checker.add("error", name, f"the split {what}")
        else:
            checker.split(name, split)
    checker.across()


class _Checker:
    def __init__(self, definition: DatasetSpec, setting: str) -> None:
        self.definition = definition
        self.name = setting
        self.setting = setting_of(definition, setting)
        self.findings: list[Finding] = []
        self.summary: dict[str, dict[str, Any]] = {}
        self.ids: dict[str, list[str]] = {}
        self.lengths: dict[str, dict[str, int]] = {}

    def add(self, level: Literal["error", "warning", "note"], where: str, message: str, count: int = 1) -> None:
        self.findings.append(Finding(level, where, message, count))

    def split(self, name: str, split: Mapping[str, Any]) -> None:
        missing = [key for key in _REQUIRED if key not in split]
        if "text" not in split and "text_bert" not in split:
            missing.append("text or text_bert")
        if missing:
            self.add("error", name, f"missing: {', '.join(missing)}", len(missing))
        sizes = {key: len(value) for key, value in split.items() if _sized(value)}
        count = sizes.get("id", sizes.get("regression_labels", 0))
        self.summary[name] = {"samples": count, "shapes": {k: list(np.shape(split[k])) for k in _arrays(split)}}
        if count == 0:
            self.add("error", name, "the split is empty")
            return
        unequal = {key: size for key, size in sizes.items() if size != count and key in _KNOWN}
        if unequal:
            listed = ", ".join(f"{key} has {size}" for key, size in unequal.items())
            self.add("error", name, f"unequal lengths: {count} ids, but {listed}", len(unequal))
            return
        self._identifiers(name, split)
        self.lengths[name] = {}
        for modality in ("text", "audio", "vision"):
            if modality in split:
                self._features(f"{name}.{modality}", split[modality], modality, name)
        if "text_bert" in split:
            self._tokens(f"{name}.text_bert", split["text_bert"], name)
        self._aligned(name)
        self._step_counts(name, split)
        self._labels(name, split)
        self._sample_count(name, count)

    def _identifiers(self, name: str, split: Mapping[str, Any]) -> None:
        for key in ("id", "raw_text"):
            if key in split and not _one_each(split[key]):
                self.add("error", f"{name}.{key}", "expected one text a sample, found something else")
                return
        if "id" in split:
            self.ids[name] = [as_text(item) for item in split["id"]]
            twice = [item for item, times in Counter(self.ids[name]).items() if times > 1]
            if twice:
                self.add("error", f"{name}.id", f"ids that stand there twice: {_examples(twice)}", len(twice))

    def _array(self, where: str, value: Any, rank: int) -> bool:
        """Whether `value` is a numeric array of that rank; complain if not."""
        if not isinstance(value, np.ndarray):
            self.add("error", where, f"expected a numpy array, found a {type(value).__name__}")
        elif value.dtype.kind not in "fiub":
            self.add("error", where, f"expected numbers, found dtype {value.dtype}")
        elif value.ndim != rank:
            self.add("error", where, f"expected {rank} axes, found shape {value.shape}")
        elif 0 in value.shape:
            self.add("error", where, f"there is nothing in an array of shape {value.shape}")
        else:
            return True
        return False

    def _features(self, where: str, value: Any, modality: Literal["text", "audio", "vision"], split: str) -> None:
        if not self._array(where, value, 3):
            return
        self.lengths[split][modality] = value.shape[1]
        width = self.definition.widths[modality]
        if value.shape[2] != width:
            groups = {} if modality == "text" else self.definition.groups.get(modality, {})
            named = f", and its {len(groups)} named groups add up to that" if groups else ""
            self.add("error", where, f"{value.shape[2]} features wide; {self.definition.name} has {width}{named}")
        self._length(where, value.shape[1], modality)
        nan, low, high = non_finite(value)
        if nan:
            tail = "" if modality == "text" else ", except that a NaN in the mean over time becomes 0"
            self.add("warning", where, f"NaN: MMSA leaves them{tail}", nan)
        if low and modality == "audio":
            self.add("note", where, "-inf: becomes 0, as in MMSA", low)
        elif low:
            self.add("warning", where, "-inf: MMSA leaves them", low)
        if high:
            self.add("warning", where, "+inf (or beyond float32): MMSA leaves them", high)

    def _length(self, where: str, length: int, modality: Literal["text", "audio", "vision"]) -> None:
        expected = self.setting.lengths[modality]
        if length != expected:  # MMSA would take the file's own; here models are built before any file is opened
            place = f"settings.{self.name}.lengths.{modality}"
            self.add(
                "error",
                where,
                f"{length} steps long, but the definition says {expected}, and models are built for that: "
                f"set {place} to {length} in the definition",
            )

    def _aligned(self, split: str) -> None:
        lengths = self.lengths[split]
        text = lengths.get("text", lengths.get("text_bert"))
        if self.name != "aligned" or text is None:
            return
        for modality in ("audio", "vision"):
            if lengths.get(modality, text) != text:
                self.add(
                    "error",
                    f"{split}.{modality}",
                    f"{lengths[modality]} steps long, text {text}: aligned means one step a word; "
                    "if the file is not aligned, describe it under settings.unaligned",
                )

    def _tokens(self, where: str, value: Any, split: str) -> None:
        if not self._array(where, value, 3):
            return
        if value.shape[1] != 3:
            self.add("error", where, f"expected (samples, 3, steps): ids, mask, segments; found shape {value.shape}")
            return
        self.lengths[split]["text_bert"] = value.shape[2]
        self._length(where, value.shape[2], "text")
        ids, mask = (value[:, row].astype(np.float64) for row in (0, 1))
        if wrong := int(np.count_nonzero((ids != np.floor(ids)) | ~(ids >= 0))):
            self.add("error", where, "token ids that are no whole numbers from 0", wrong)
        if wrong := int(np.count_nonzero((mask != 0) & (mask != 1))):
            self.add("error", where, "mask values other than 0 and 1", wrong)

    def _step_counts(self, name: str, split: Mapping[str, Any]) -> None:
        for modality in ("audio", "vision"):
            key = f"{modality}_lengths"
            where = f"{name}.{key}"
            if key not in split:
                if self.name == "unaligned":
                    self.add("warning", name, f"no {key}; MMSA asks for them in unaligned files")
                continue
            values = numbers(split[key])
            if values is None or not bool(np.all((np.abs(values) < _BEYOND_FLOAT) & (values == np.floor(values)))):
                self.add("error", where, "expected one whole number a sample")
                continue
            longest = self.lengths[name].get(modality, 0)
            if wrong := int(np.count_nonzero((values < 0) | (values > longest))):
                self.add("warning", where, f"outside 0 to {longest}", wrong)

    def _labels(self, name: str, split: Mapping[str, Any]) -> None:
        for suffix in ("", *(f"_{letter}" for letter in _UNIMODAL)):
            scores = self._scores(name, f"regression_labels{suffix}", split, required=suffix != "")
            classes = self._classes(name, f"classification_labels{suffix}", split, required=suffix != "")
            if scores is not None and classes is not None:
                differ = int(np.count_nonzero(np.sign(scores) + 1 != classes))
                if differ:
                    where = f"{name}.classification_labels{suffix}"
                    self.add("note", where, "the class is not the sign of the regression label", differ)

    def _absent(self, where: str, required: bool) -> None:
        if required and self.definition.unimodal_labels:
            self.add("error", where, f"missing, but {self.definition.name} has labels per modality")
        elif not required and where.endswith(".classification_labels"):
            self.add("note", where, "missing: classification cannot run on this file")

    def _scores(self, name: str, key: str, split: Mapping[str, Any], *, required: bool) -> NDArray[Any] | None:
        where = f"{name}.{key}"
        if key not in split:
            self._absent(where, required)
            return None
        values = numbers(split[key])
        if values is None:
            self.add("error", where, "expected one number a sample")
            return None
        low, high = self.definition.label_range
        if wrong := int(np.count_nonzero(~np.isfinite(values))):
            self.add("error", where, "labels that are NaN or infinite", wrong)
        margin = 1e-5 * (high - low)  # float32 cannot hold every bound
        if wrong := int(np.count_nonzero((values < low - margin) | (values > high + margin))):
            self.add("error", where, f"labels outside {low:g} to {high:g}", wrong)
        return values

    def _classes(self, name: str, key: str, split: Mapping[str, Any], *, required: bool) -> NDArray[Any] | None:
        where = f"{name}.{key}"
        if key not in split:
            self._absent(where, required)
            return None
        values = numbers(split[key])
        if values is None:
            self.add("error", where, "expected one class a sample")
            return None
        if wrong := int(np.count_nonzero(~np.isin(values, (0, 1, 2)))):
            self.add("error", where, "classes other than 0, 1, 2 (negative, neutral, positive)", wrong)
        return values

    def _sample_count(self, name: str, count: int) -> None:
        expected = {str(split): n for split, n in (self.definition.samples or {}).items()}.get(name)
        if expected not in (None, count):
            self.add("note", name, f"{count} samples; the definition says {expected}")

    def across(self) -> None:
        """Check what concerns several splits."""
        for key in ("text", "text_bert", "audio", "vision"):
            present = {name: lengths.get(key) for name, lengths in self.lengths.items()}
            if len(set(present.values())) > 1:
                listed = ", ".join(f"{name} {length or 'none'}" for name, length in present.items())
                self.add("error", key, f"the splits differ in steps: {listed}")
        for one, other in combinations(self.ids, 2):
            shared = sorted(set(self.ids[one]) & set(self.ids[other]))
            if shared:
                message = f"ids in both splits (leakage): {_examples(shared)}"
                self.add("warning", f"{one} and {other}", message, len(shared))


_KNOWN = frozenset(
    {*_REQUIRED, "text", "text_bert", "audio_lengths", "vision_lengths", "classification_labels"}
    | {f"{kind}_labels_{letter}" for kind in ("regression", "classification") for letter in _UNIMODAL}
)


def _sized(value: Any) -> bool:
    return isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _one_each(value: Any) -> bool:
    return (
        _sized(value)
        and np.ndim(value if isinstance(value, np.ndarray) else [0]) == 1
        and all(isinstance(item, (str, bytes, int, np.integer)) for item in value)
    )


def _arrays(split: Mapping[str, Any]) -> list[str]:
    return [key for key in ("text", "text_bert", "audio", "vision") if isinstance(split.get(key), np.ndarray)]


def _examples(ids: list[str]) -> str:
    return ", ".join(ids[:_EXAMPLES]) + (", ..." if len(ids) > _EXAMPLES else "")
