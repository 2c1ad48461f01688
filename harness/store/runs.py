"""The run store itself: where records stand, and how drafts become records."""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

from harness.disk import sync
from harness.errors import StoreError
from harness.spec import RunSpec, Task, Variant
from harness.store.checkpoints import Checkpoints
from harness.store.disk import flush, make_durable, write_json, writing
from harness.store.leases import Leases
from harness.store.owners import is_stale, owner
from harness.store.record import (
    FAILURE_FILE,
    RECORD_FILE,
    SCHEMA_VERSION,
    Failure,
    FailureKind,
    Record,
    read_failure,
    read_record,
)

__all__ = ["RunStore", "Status"]

Status: TypeAlias = Literal["done", "failed", "missing"]

_TMP, _FAILED, _LEASES = ".tmp", ".failed", ".leases"


class RunStore:
    """Records and failures below one folder.

    Parameters
    ----------
    root : Path
        The runs folder; it need not exist before `prepare`.

    Attributes
    ----------
    unreadable : list of StoreError
        What the latest pass of `records` had to leave out.
    leases : Leases
        Who works on which run.
    checkpoints : Checkpoints
        The states of runs that are not done.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.unreadable: list[StoreError] = []
        self.leases = Leases(self.root / _LEASES)
        self.checkpoints = Checkpoints(self.root)

    def prepare(self) -> None:
        """Create the folder, prove that it can be written, and sweep the drafts of dead processes.

        Raises
        ------
        StoreError
            If the folder cannot be created or written, or is a file.
        """
        with writing(self.root, "cannot use the runs folder"):
            probe = self._fresh()
            probe.mkdir(parents=True)
            try:
                with (probe / "probe").open("wb") as file:
                    file.write(b"x" * 4096)
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                self._remove(probe)
            # Removing the probe has just set this time, by the clock that the drafts' times come from.
            now = (self.root / _TMP).stat().st_mtime
            for draft in sorted((self.root / _TMP).iterdir()):
                # Somebody else's, in a folder that is shared, may not be ours to remove.
                with suppress(OSError):
                    if is_stale(draft, now):
                        self._remove(draft)
            self.leases.sweep()
            self.checkpoints.sweep()

    def folder(self, spec: RunSpec) -> Path:
        """Return the place of the record of `spec`, whether it exists or not."""
        leaf = f"{spec.variant}-{spec.task}-s{spec.seed}-{spec.run_id}"
        return self.root / _slug(spec.data.dataset) / _slug(spec.model) / leaf

    def status(self, spec: RunSpec) -> Status:
        """Return ``done``, ``failed`` or ``missing``; a record counts before a failure."""
        if (self.folder(spec) / RECORD_FILE).is_file():
            return "done"
        return "failed" if (self.failure_folder(spec) / FAILURE_FILE).is_file() else "missing"

    def relatives(self, specs: Iterable[RunSpec]) -> list[int]:
        """Count, for each of `specs`, records that differ from it in other contents than its place can show.

        They are of the same model, variant, task, data set and seed. Such a record was made from other sources,
        another feature file or other hyper-parameters: it is no answer to what is asked now, but whoever changed those
        may wonder where it went. Every folder is listed once.
        """
        listed: dict[Path, Counter[str]] = {}
        counts = []
        for spec in specs:
            place = self.folder(spec)
            if place.parent not in listed:
                records = _names_of_records(place.parent)
                listed[place.parent] = Counter(name.rpartition("-")[0] for name in records)
            alike = listed[place.parent][place.name.rpartition("-")[0]]
            counts.append(alike - (place / RECORD_FILE).is_file())
        return counts

    def newest(self, spec: RunSpec) -> dict[tuple[Variant, Task], Record]:
        """Return, of the model and data set of `spec`, the newest readable record of every variant and task."""
        parent = self.folder(spec).parent
        latest: dict[str, tuple[float, str]] = {}
        for name in _names_of_records(parent):
            kind = name.rpartition("-s")[0]
            with suppress(OSError):
                latest[kind] = max(latest.get(kind, (0.0, "")), ((parent / name).stat().st_mtime, name))
        found: dict[tuple[Variant, Task], Record] = {}
        for _, name in latest.values():
            with suppress(StoreError):
                record = read_record(parent / name)
                found[record.spec.variant, record.spec.task] = record
        return found

    def begin(self, spec: RunSpec) -> Path:
        """Return a fresh folder to write a run into; it belongs to this process until published or discarded.

        Raises
        ------
        StoreError
            If the folder cannot be made, or something that is not a record stands in the record's place.
        """
        place = self.folder(spec)
        with writing(self.root, "cannot begin a run"):
            _refuse_litter(place)
        return self.fresh()

    def fresh(self) -> Path:
        """Return an empty folder that belongs to this process until published, failed or discarded.

        Raises
        ------
        StoreError
            If it cannot be made.
        """
        with writing(self.root, "cannot make a draft"):
            draft = self._fresh()
            draft.mkdir(parents=True)
        return draft

    def publish(self, spec: RunSpec, draft: Path) -> Path:
        """Turn `draft`, which holds ``record.json``, into the record of `spec`, and return its folder.

        A record that is already there wins, and the draft is dropped; an earlier failure goes, and a checkpoint.

        Raises
        ------
        StoreError
            If the draft holds no ``record.json``, or the disk is full or broken. Nothing is published then.
        """
        place = self.folder(spec)
        with writing(place, "cannot publish the record"):
            if not (draft / RECORD_FILE).is_file():
                raise StoreError("the draft of a run holds no record.json", where=str(draft))
            flush(draft)
            make_durable(place.parent, self.root)
            try:
                draft.rename(place)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                _refuse_litter(place)
                self._remove(draft)
            else:
                sync(place.parent)
            self._remove(self.failure_folder(spec))
        self.checkpoints.drop(spec.run_id)
        return place

    def fail(self, spec: RunSpec, draft: Path, *, kind: FailureKind, reason: str, traceback: str = "") -> None:
        """Keep `draft` as the failure of `spec`, unless there is a record; an earlier failure is replaced.

        Raises
        ------
        StoreError
            If the disk is full or broken.
        """
        if self.status(spec) == "done":
            self.discard(draft)
            return
        place = self.failure_folder(spec)
        with writing(place, "cannot keep the failure of a run"):
            draft.mkdir(parents=True, exist_ok=True)  # whatever has removed it: the failure itself is worth keeping
            (draft / RECORD_FILE).unlink(missing_ok=True)
            failure = {
                "schema_version": SCHEMA_VERSION,
                "run_id": spec.run_id,
                "label": spec.label,
                "status": "failed",
                "kind": kind,
                "reason": reason,
                "traceback": traceback,
                "spec": spec.model_dump(mode="json"),
            }
            write_json(draft / FAILURE_FILE, failure)
            flush(draft)
            make_durable(place.parent, self.root)
            self._remove(place)
            try:
                draft.rename(place)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                self._remove(draft)  # another process failed at the same run just now: one of the two is enough
            sync(place.parent)

    def discard(self, draft: Path) -> None:
        """Drop a draft; one that is gone already is no error."""
        with writing(draft, "cannot remove a draft"):
            self._remove(draft)

    def record(self, spec: RunSpec) -> Record | None:
        """Return the record of `spec`, or None.

        Raises
        ------
        StoreError
            If there is one that cannot be read, or that is the record of another run.
        """
        path = self.folder(spec) / RECORD_FILE
        if not path.is_file():
            return None
        record = read_record(path.parent)
        if record.run_id != spec.run_id:
            raise StoreError(
                f"the record in the folder of run {spec.run_id} is that of run {record.run_id}",
                where=str(path),
                hint="it was copied or renamed by hand: move it back or delete the whole folder, then run again",
            )
        return record

    def failure(self, spec: RunSpec) -> Failure | None:
        """Return how `spec` failed, or None where it was not tried or has a record.

        Raises
        ------
        StoreError
            If there is a failure that cannot be read.
        """
        if self.status(spec) != "failed":
            return None
        return read_failure(self.failure_folder(spec))

    def failure_mark(self, spec: RunSpec) -> int | None:
        """Return a number that is another one for every failure of a run, or None where it has none."""
        try:
            return (self.failure_folder(spec) / FAILURE_FILE).stat().st_mtime_ns
        except OSError:
            return None

    def records(self) -> Iterator[Record]:
        """Yield every readable record below the root, in the order of their paths.

        Unreadable ones are left out and collected in `unreadable`, which starts anew with every pass.
        """
        self.unreadable = []
        for parent, folders, files in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            if RECORD_FILE not in files:
                continue
            folders.clear()
            try:
                record = read_record(Path(parent))
                _ = record.spec
            except StoreError as error:
                self.unreadable.append(error)
            else:
                yield record

    @property
    def suites(self) -> Path:
        """The folder of suites that came with imported records; it need not exist."""
        return self.root / ".suites"

    def engine_folder(self, engine: str) -> Path:
        """Return the folder in which an engine keeps job files and logs of its own; it need not exist."""
        return self.root / f".{_slug(engine)}"

    def failure_folder(self, spec: RunSpec) -> Path:
        """Return the place of the failure of `spec`, whether it exists or not."""
        place = self.folder(spec)
        return place.with_name(place.name + _FAILED)

    def _fresh(self) -> Path:
        return self.root / _TMP / f"{owner(os.getpid())}.{uuid.uuid4().hex[:12]}"

    def _remove(self, folder: Path) -> None:
        """Delete a folder in two steps: out of sight by a rename, then file by file.

        A process that is about to publish it then finds it whole or not at all.
        """
        if not folder.exists():
            return
        grave = self._fresh()
        with suppress(FileNotFoundError):
            grave.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(grave)
            shutil.rmtree(grave)


def _names_of_records(parent: Path) -> list[str]:
    try:
        with os.scandir(parent) as entries:
            names = [e.name for e in entries if not e.name.endswith(_FAILED) and not e.name.startswith(".")]
    except OSError:
        return []
    return [name for name in names if (parent / name / RECORD_FILE).is_file()]


def _slug(name: str) -> str:
    """Make a name safe as one folder: never hidden, never a parent, never a separator; the run id keeps it unique."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:80] or "unnamed"


def _refuse_litter(place: Path) -> None:
    """Complain about a record folder without a record: whoever made it by hand may still want what is in it."""
    if place.exists() and not (place / RECORD_FILE).is_file() and any(place.iterdir()):
        raise StoreError(
            "the folder of a run holds files but no record.json",
            where=str(place),
            hint="delete or move the whole folder, then run again",
        )
