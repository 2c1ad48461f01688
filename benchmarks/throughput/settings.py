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

__all__ = ["FULL", "QUICK", "WARM", "Data", "Group", "Place", "Settings", "make_feature_file"]

WARM = "cache"
"""Name of the cache folder that holds a converted feature file."""

_FILE = "features.pkl"
_NO_BOUND = 100_000  # epochs: MMSA knows early stopping only, so the harness's own bound must never be reached


@dataclass(frozen=True)
class Data:
    """A synthetic feature file in CH-SIMS's widths.

    Parameters
    ----------
    name : str
        It says *synthetic*.
    samples, lengths : mapping
        By split, by modality.
    noise : float
        So much that nothing can be learned for long: the validation loss soon stops falling, as on a real set.
    """

    name: str
    samples: Mapping[str, int]
    lengths: Mapping[str, int]
    noise: float = 6.0


@dataclass(frozen=True)
class Group:
    """Models that share a feature file, seeds and patience; their originals are run.

    Parameters
    ----------
    data : Data
        The feature file.
    models : tuple of str
        With MMSA's hyper-parameters for CH-SIMS.
    seeds : tuple of int
        One run each.
    early_stop : int or None
        Patience in epochs for both sides; None keeps MMSA's, 8.
    repetitions : int
        How often at most.
    target : bool
        Whether half of MMSA's time is aimed at.
    """

    data: Data
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    early_stop: int | None
    repetitions: int
    target: bool = True

    def suite(self) -> dict[str, Any]:
        """Return the suite that the harness runs; MMSA's side takes its hyper-parameters from the same specs."""
        setting = {"file": _FILE, "sha256": None, "lengths": dict(self.data.lengths)}
        dataset = {
            "base": "sims",
            "name": self.data.name,
            "title": "Synthetic in CH-SIMS layout",
            "samples": dict(self.data.samples),
            "settings": {"unaligned": setting},
        }
        return {
            "name": self.data.name,
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
        The timed runs; the first group's first model serves the memory part too.
    workers : int
        Processes on either side, and cores; fewer where there are fewer cores.
    memory_workers : tuple of int
        How many runs go side by side while memory is watched.
    overhead_models, overhead_seeds : tuple
        What is taken from the shipped suite ``quick`` to compare with the bare loop.
    overhead_repetitions : int
        Of that comparison.
    """

    groups: tuple[Group, ...]
    workers: int
    memory_workers: tuple[int, ...]
    overhead_models: tuple[str, ...]
    overhead_seeds: tuple[int, ...]
    overhead_repetitions: int

    @property
    def data(self) -> tuple[Data, ...]:
        """The feature files of all groups, each once."""
        return tuple({group.data.name: group.data for group in self.groups}.values())


_CH_SIMS = Data(
    "synthetic-ch-sims-size",
    {"train": 1368, "valid": 456, "test": 457},
    {"text": 39, "audio": 400, "vision": 55},
)
# Attention over 400 audio frames takes minutes an epoch on one core.
_SHORT = Data(
    "synthetic-ch-sims-short",
    {"train": 256, "valid": 64, "test": 64},
    {"text": 39, "audio": 60, "vision": 55},
)
_SEEDS = (1111, 1112)

FULL = Settings(
    groups=(
        Group(_CH_SIMS, ("LF-DNN", "LMF"), _SEEDS, early_stop=None, repetitions=3),
        Group(_CH_SIMS, ("MFN",), _SEEDS, early_stop=2, repetitions=3),
        Group(_CH_SIMS, ("TFN",), _SEEDS, early_stop=1, repetitions=1),
        Group(_SHORT, ("MulT",), _SEEDS, early_stop=1, repetitions=3, target=False),
    ),
    workers=2,
    memory_workers=(1, 4),
    overhead_models=("LF-DNN", "LMF", "MFN"),
    overhead_seeds=(1111, 1112, 1113),
    overhead_repetitions=3,
)

_TINY = Data("synthetic-tiny", {"train": 128, "valid": 16, "test": 18}, {"text": 6, "audio": 8, "vision": 7})

QUICK = Settings(
    # Without TFN: it has 18 million parameters however small the data.
    groups=(Group(_TINY, ("LF-DNN", "LMF", "MFN", "MulT"), (1111,), early_stop=1, repetitions=1, target=False),),
    workers=2,
    memory_workers=(1,),
    overhead_models=("LF-DNN",),
    overhead_seeds=(1111,),
    overhead_repetitions=1,
)


@dataclass(frozen=True)
class Place:
    """Where one feature file and what is made from it are, all below one folder that is the benchmark's own."""

    data: Data
    folder: Path

    @property
    def file(self) -> Path:
        """The feature file that both sides read."""
        return self.folder / "data" / _FILE

    def folders(self, runs: str, cache: str) -> Folders:
        """Return the harness's folders, with runs and cache under the given names."""
        place = self.folder
        return Folders(data=place / "data", runs=place / runs, reports=place / "reports", cache=place / cache)

    def write_suite(self, group: Group, **changes: Any) -> str:
        """Write a group's suite, or one that differs in some fields, and return its path."""
        path = self.folder / "suite.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({**group.suite(), **changes}), encoding="utf-8")
        return str(path)


def make_feature_file(data: Data, path: Path) -> int:
    """Generate a feature file and return its size in bytes; run it in a process of its own, for its memory."""
    synthetic = {"like": "sims", "samples": dict(data.samples), "lengths": dict(data.lengths), "noise": data.noise}
    write_pickle(generate(load_definition({"name": data.name, "synthetic": synthetic})), path)
    return path.stat().st_size
