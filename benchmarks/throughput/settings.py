"""What is measured: the sizes of the full benchmark and of the quick one, and the suites that both sides are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.data import generate, load_definition
from harness.data.synthetic import write_pickle
from harness.workflow import Folders

__all__ = ["FULL", "QUICK", "WARM", "Group", "Place", "Settings", "make_feature_file"]

WARM = "cache"
"""Name of the cache folder that holds a converted feature file."""

_FILE = "features.pkl"
_CH_SIMS_SAMPLES = {"train": 1368, "valid": 456, "test": 457}
_CH_SIMS_LENGTHS = {"text": 39, "audio": 400, "vision": 55}
_NO_BOUND = 100_000  # epochs: MMSA knows early stopping only, so the harness's own bound must never be reached


@dataclass(frozen=True)
class Group:
    """Models that share a feature file, seeds and patience.

    Parameters
    ----------
    name : str
        Of the synthetic set; it says *synthetic*.
    models : tuple of str
        Their originals are run, with MMSA's hyper-parameters for CH-SIMS.
    samples, lengths : mapping
        Size of the set, in CH-SIMS's widths.
    seeds : tuple of int
        One run each.
    early_stop : int or None
        Patience in epochs for both sides; None keeps MMSA's.
    target : bool
        Whether half of MMSA's time is aimed at.
    """

    name: str
    models: tuple[str, ...]
    samples: Mapping[str, int]
    lengths: Mapping[str, int]
    seeds: tuple[int, ...]
    early_stop: int | None
    target: bool = True

    def suite(self) -> dict[str, Any]:
        """Return the suite that the harness runs; MMSA's side takes its hyper-parameters from the same specs."""
        setting = {"file": _FILE, "sha256": None, "lengths": dict(self.lengths)}
        dataset = {
            "base": "sims",
            "name": self.name,
            "title": "Synthetic in CH-SIMS layout",
            "samples": dict(self.samples),
            "settings": {"unaligned": setting},
        }
        return {
            "name": self.name,
            "datasets": [dataset],
            "task": "regression",
            "models": list(self.models),
            "variants": ["original"],
            "seeds": list(self.seeds),
            "threads": 1,
            "max_epochs": _NO_BOUND,
            "device": "cpu",
            "hyper": {} if self.early_stop is None else {"*": {"early_stop": self.early_stop}},
        }


@dataclass(frozen=True)
class Settings:
    """One size of the benchmark.

    Parameters
    ----------
    groups : tuple of Group
        The timed runs; the first group's file and first model serve the memory part too.
    workers : int
        Processes on either side, and cores; fewer where there are fewer cores.
    repetitions : int
        Of the timed runs.
    memory_workers : tuple of int
        How many runs go side by side while memory is watched.
    overhead_models, overhead_seeds : tuple
        What is taken from the shipped suite ``quick`` to compare with the bare loop.
    overhead_repetitions : int
        Of that comparison.
    """

    groups: tuple[Group, ...]
    workers: int
    repetitions: int
    memory_workers: tuple[int, ...]
    overhead_models: tuple[str, ...]
    overhead_seeds: tuple[int, ...]
    overhead_repetitions: int


FULL = Settings(
    groups=(
        Group(
            "synthetic-ch-sims-size",
            ("LF-DNN", "TFN", "LMF", "MFN"),
            _CH_SIMS_SAMPLES,
            _CH_SIMS_LENGTHS,
            seeds=(1111, 1112),
            early_stop=3,
        ),
        # True text and vision length, a fraction of the audio's and of the samples: attention over 400 frames takes
        # minutes an epoch on one core.
        Group(
            "synthetic-ch-sims-short",
            ("MulT",),
            {"train": 256, "valid": 64, "test": 64},
            {"text": 39, "audio": 60, "vision": 55},
            seeds=(1111, 1112),
            early_stop=1,
            target=False,
        ),
    ),
    workers=2,
    repetitions=3,
    memory_workers=(1, 4),
    overhead_models=("LF-DNN", "LMF", "MFN"),
    overhead_seeds=(1111, 1112, 1113),
    overhead_repetitions=3,
)

QUICK = Settings(
    groups=(
        Group(
            "synthetic-tiny",
            ("LF-DNN", "LMF", "MFN", "MulT"),  # TFN has 18 million parameters at any length
            {"train": 40, "valid": 16, "test": 18},
            {"text": 6, "audio": 8, "vision": 7},
            seeds=(1111,),
            early_stop=1,
            target=False,
        ),
    ),
    workers=2,
    repetitions=1,
    memory_workers=(1,),
    overhead_models=("LF-DNN",),
    overhead_seeds=(1111,),
    overhead_repetitions=1,
)


@dataclass(frozen=True)
class Place:
    """Where one group's things are, all below one folder that is the benchmark's own."""

    group: Group
    folder: Path

    @property
    def file(self) -> Path:
        """The feature file that both sides read."""
        return self.folder / "data" / _FILE

    def folders(self, runs: str, cache: str) -> Folders:
        """Return the harness's folders, with runs and cache under the given names."""
        place = self.folder
        return Folders(data=place / "data", runs=place / runs, reports=place / "reports", cache=place / cache)

    def write_suite(self, name: str, **changes: Any) -> str:
        """Write the group's suite, or one that differs in some fields, and return its path."""
        path = self.folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({**self.group.suite(), **changes}), encoding="utf-8")
        return str(path)


def make_feature_file(group: Group, path: Path) -> int:
    """Generate a group's feature file and return its size in bytes; run it in a process of its own, for its memory."""
    synthetic = {"like": "sims", "samples": dict(group.samples), "lengths": dict(group.lengths)}
    write_pickle(generate(load_definition({"name": group.name, "synthetic": synthetic})), path)
    return path.stat().st_size
