"""Records and failures as they are read back, tolerant of fields that this version does not know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import ValidationError

from harness.errors import StoreError
from harness.spec import RunSpec
from harness.store.disk import read_json, reading, sha256_of, store_error

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = [
    "FAILURE_FILE",
    "LOG_FILE",
    "RECORD_FILE",
    "SCHEMA_VERSION",
    "Failure",
    "FailureKind",
    "Record",
    "read_failure",
    "read_record",
]

FailureKind: TypeAlias = Literal["error", "crash", "timeout", "memory", "diverged"]

SCHEMA_VERSION = 1
RECORD_FILE = "record.json"
FAILURE_FILE = "failure.json"
LOG_FILE = "log.txt"

_PREDICTIONS = "predictions.parquet"


@dataclass(frozen=True)
class Record:
    """A finished run.

    Attributes
    ----------
    folder : Path
    data : dict
        ``record.json``, parsed. Fields that this version does not know are kept.

    Notes
    -----
    `predictions`, `history`, `provenance` and `features` raise a `StoreError` that names the file where it is missing,
    cannot be read, or is not the one that the run wrote (its SHA-256 is in ``record.json``, under ``files``).
    """

    folder: Path
    data: dict[str, Any]

    @cached_property
    def spec(self) -> RunSpec:
        """What was asked for; fields that this version does not know are left out."""
        return _read_spec(self.data, self.folder / RECORD_FILE)

    @property
    def run_id(self) -> str:
        """The content address, as stored."""
        return str(self.data["run_id"])

    def predictions(self) -> pd.DataFrame:
        """Return one row per sample: ``id``, ``split``, ``label`` and ``pred`` or ``logit_0`` to ``logit_2``."""
        from pyarrow import parquet

        path = self._checked(_PREDICTIONS)
        # Not pandas.read_parquet: for files this small, preparing for folders, filters and threads is most of its time.
        with reading(path), parquet.ParquetFile(path) as file:
            frame: pd.DataFrame = file.read(use_threads=False).to_pandas(use_threads=False)
            return frame

    def predictions_sha256(self) -> str:
        """Return the SHA-256 of the predictions as they stand now, checked as if they were read."""
        return self._sha256(_PREDICTIONS)

    def history(self) -> list[dict[str, Any]]:
        """Return one entry per epoch, as `harness.training.loop.Epoch` has it: losses, learning rate, best, seconds."""
        path = self._checked("history.jsonl")
        with reading(path):
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]

    def provenance(self) -> dict[str, Any]:
        """Return where and with what the run was made."""
        return read_json(self._checked("provenance.json"))

    def features(self) -> tuple[list[str], dict[str, NDArray[np.float32]]]:
        """Return the sample ids (N) and the learned features per name, each (N, width), in the order of the ids."""
        from safetensors import safe_open

        path = self._checked("features.safetensors")
        with reading(path), safe_open(str(path), framework="numpy") as file:
            ids = json.loads((file.metadata() or {})["ids"])
            return ids, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping

    def log(self) -> str:
        """Return what the run printed."""
        return _read_log(self.folder)

    def verify(self, name: str) -> None:
        """Check that one of its files is as the run wrote it.

        Raises
        ------
        StoreError
            If it is not, or is gone.
        """
        self._sha256(name)

    def size(self) -> int:
        """Return the bytes that its files take."""
        return sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())

    def _sha256(self, name: str) -> str:
        """Return the SHA-256 of a file, which must be the stored one where one is stored."""
        path = self.folder / name
        if Path(name).name != name:
            raise StoreError(f"a record names a file outside its folder: {name!a}", where=str(self.folder))
        with reading(path):
            found = sha256_of(path)
        stored = self.data.get("files", {}).get(name, found)
        if found != stored:
            raise StoreError(
                f"a file of a record was changed after the run: its SHA-256 is {found}, not {stored}",
                where=str(path),
                hint="put the file back as it was, or delete the folder it is in and run again",
            )
        return found

    def _checked(self, name: str) -> Path:
        """Return the path of a file that is as the run wrote it; one without a stored hash is taken as it is."""
        if name in self.data.get("files", {}):
            self._sha256(name)
        return self.folder / name


@dataclass(frozen=True)
class Failure:
    """A run that was tried and gave no record.

    ``kind`` is ``error`` (a Python exception), ``crash`` (the process died), ``timeout``, ``memory`` or ``diverged``.
    """

    folder: Path
    run_id: str
    label: str
    kind: FailureKind
    reason: str
    traceback: str
    spec: RunSpec

    def log(self) -> str:
        """Return what the run printed before it failed."""
        return _read_log(self.folder)


def read_record(folder: Path) -> Record:
    """Read the record in `folder`, or raise a `StoreError` that says what is wrong with it."""
    path = folder / RECORD_FILE
    data = read_json(path)
    _check_version(data, path)
    with reading(path):
        expected = {"run_id": str, "spec": dict, "metrics": dict}
        for field, kind in expected.items():
            if not isinstance(data.get(field), kind):
                raise TypeError(f"the field {field!r} is missing or has the wrong type")
        if not isinstance(data.get("files", {}), dict):
            raise TypeError("the field 'files' has the wrong type")
    return Record(folder, data)


def read_failure(folder: Path) -> Failure:
    """Read the failure in `folder`, or raise a `StoreError` that says what is wrong with it."""
    path = folder / FAILURE_FILE
    data = read_json(path)
    _check_version(data, path)
    spec = _read_spec(data, path)
    return Failure(
        folder=folder,
        run_id=str(data.get("run_id", spec.run_id)),
        label=str(data.get("label", spec.label)),
        kind=data.get("kind", "error"),
        reason=str(data.get("reason", "")),
        traceback=str(data.get("traceback", "")),
        spec=spec,
    )


def _check_version(data: Mapping[str, Any], path: Path) -> None:
    version = data.get("schema_version")
    if version == SCHEMA_VERSION:
        return
    newer = isinstance(version, int) and version > SCHEMA_VERSION
    raise StoreError(
        f"schema version {version!r} of a record is not {SCHEMA_VERSION}, the one this version of the harness reads",
        where=str(path),
        hint="update the harness" if newer else "run again into another folder with --runs-dir, or delete the record",
    )


def _read_spec(data: Mapping[str, Any], path: Path) -> RunSpec:
    with reading(path):
        asked = data["spec"]
        try:
            return RunSpec.model_validate(asked)
        except ValidationError as error:
            problems = error.errors(include_url=False)
        # Later versions may know more fields. Drop those, and let anything else that is wrong be told.
        asked = json.loads(json.dumps(asked))
        for problem in problems:
            if problem["type"] == "extra_forbidden":
                *parents, last = problem["loc"]
                level = asked
                for part in parents:
                    level = level[part]
                del level[last]
        return RunSpec.model_validate(asked)


def _read_log(folder: Path) -> str:
    try:
        return (folder / LOG_FILE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise store_error(error, "cannot read the log", folder / LOG_FILE) from error
