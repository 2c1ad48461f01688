"""From a suite's name to a plan: where things are, which files and encoders there are, which runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from harness import models
from harness.data import fingerprint, locate
from harness.data.definitions import setting_of
from harness.errors import DataError, InputError
from harness.models import text
from harness.plan import Plan, Selection, load_datasets, make_plan, narrow
from harness.spec import DatasetSpec, EncoderChoice, SettingName, TextEncoder
from harness.store import RunStore
from harness.suites import load_suite

__all__ = ["Folders", "Planned", "plan_suite"]

_UNKNOWN = "0" * 64


@dataclass(frozen=True)
class Folders:
    """Where things are read and written: feature files, records, reports, converted arrays."""

    data: Path | None
    runs: Path
    reports: Path
    cache: Path

    @classmethod
    def resolve(cls, data: Path | None, runs: Path | None, reports: Path | None, cache: Path | None) -> Folders:
        """Fill what was not named from ``HARNESS_*`` variables, then from the defaults."""

        def pick(named: Path | None, variable: str, default: Path | None) -> Path | None:
            found = os.environ.get(variable)
            return named or (Path(found) if found else default)

        cache_home = Path(platformdirs.user_cache_dir("msa-harness"))
        return cls(
            data=pick(data, "HARNESS_DATA_DIR", None),
            runs=pick(runs, "HARNESS_RUNS_DIR", Path("runs")) or Path("runs"),
            reports=pick(reports, "HARNESS_REPORTS_DIR", Path("reports")) or Path("reports"),
            cache=pick(cache, "HARNESS_CACHE_DIR", cache_home) or cache_home,
        )


@dataclass(frozen=True)
class Planned:
    """A plan with its store and, where they were found, its feature files by (data set, setting).

    ``encoders`` holds the folders of text encoders by the SHA-256 of their weights, ``plugins`` the files and folders
    of plug-ins by their fingerprints.
    """

    plan: Plan
    store: RunStore
    files: dict[tuple[str, str], Path]
    encoders: dict[str, Path]
    plugins: dict[str, Path] = field(default_factory=dict)


def plan_suite(
    ref: str, pick: Selection, folders: Folders, *, need_data: bool, download: bool | None = None
) -> Planned:
    """Load a suite, narrow it, find its feature files and expand it.

    Parameters
    ----------
    ref : str
        A shipped suite's name or a YAML file.
    pick : Selection
        What the user picked from it.
    folders : Folders
        Where to look.
    need_data : bool
        Whether a missing feature file is an error; without it, the SHA-256 comes from the definition or from the
        records that exist, so that a report can be rendered where the data is not.
    download : bool, optional
        Whether a model hub may be asked for a text encoder, and a missing one is an error; as `need_data` unless given.

    Raises
    ------
    InputError
        If the suite, or what was picked from it, makes no sense.
    DataError
        If feature files are missing; all of them are named before anything runs.
    """
    suite, base = load_suite(ref)
    plugins = {models.add_plugin(path).sha256: path for path in (base / name for name in suite.plugins)}
    suite, datasets = narrow(suite, load_datasets(suite, base), pick)
    store = RunStore(folders.runs)
    files: dict[tuple[str, str], Path] = {}
    missing: list[DataError] = []

    def sha256_of(dataset: DatasetSpec, setting: SettingName) -> str:
        try:
            path = locate(dataset, setting, folders.data, folders.cache)
        except DataError as error:
            missing.append(error)
            return _UNKNOWN if need_data else _remembered(dataset, setting, store, error)
        files[dataset.name, setting] = path
        return fingerprint(path, folders.cache)

    encoders: dict[str, Path] = {}

    def encoder_of(choice: EncoderChoice) -> TextEncoder:
        choice = text.choose(choice, os.environ.get(text.VARIABLE))
        needed = need_data if download is None else download
        try:
            found = text.locate(choice, base, download=needed, sha256_of=lambda path: fingerprint(path, folders.cache))
        except InputError:
            if needed:
                raise
            return _remembered_encoder(choice, base, store)
        if found.folder and found.spec.sha256:
            encoders[found.spec.sha256] = found.folder
        return found.spec

    plan = make_plan(suite, datasets, sha256_of, encoder_of)
    if need_data and missing:
        raise _all_missing(missing)
    return Planned(plan, store, files, encoders, plugins)


def _remembered_encoder(choice: EncoderChoice, base: Path, store: RunStore) -> TextEncoder:
    """Say what is known of an encoder that is not here: from the records, if they all name the same one."""
    named = text.unread(choice)
    seen = {
        found.model_dump_json(): found
        for record in store.records()
        if (found := record.spec.text_encoder) is not None and found.name == named.name
    }
    if len(seen) == 1:
        return next(iter(seen.values()))
    try:
        return text.describe(choice, base)
    except InputError:
        return named


def _remembered(dataset: DatasetSpec, setting: SettingName, store: RunStore, error: DataError) -> str:
    """Return a SHA-256 for a file that is not here: the one that all records name, or the published one."""
    seen = {
        record.spec.data.sha256
        for record in store.records()
        if record.spec.data.dataset == dataset.name and record.spec.data.setting == setting
    }
    if len(seen) == 1:
        return seen.pop()
    known = setting_of(dataset, setting).sha256
    if known is None:
        raise error
    return known


def _all_missing(errors: Sequence[DataError]) -> DataError:
    if len(errors) == 1:
        return errors[0]
    listed = "\n  ".join(f"{error.what}\n    {error.where}" for error in errors)
    return DataError(f"{len(errors)} feature files are missing:\n  {listed}", hint=errors[0].hint)
