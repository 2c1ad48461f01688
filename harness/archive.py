"""One archive of a suite's records, its definition and their environments: written here, checked and read elsewhere.

A gzipped tar that people can read without the harness. ``manifest.json`` comes first and names every other file with
its size and SHA-256; the files follow in the order of their names, below ``runs/`` as in the store. The same records
give the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

import yaml

from harness import __version__
from harness.disk import need_space, replace_file
from harness.errors import HarnessError, InputError, StoreError
from harness.plan import Plan
from harness.spec import EncoderChoice, Suite
from harness.store import LOG_FILE, Record, RunStore, store_error
from harness.store.disk import writing
from harness.store.record import FAILURE_FILE, RECORD_FILE, read_failure, read_record

__all__ = ["Exported", "Imported", "export_runs", "import_runs"]

_SCHEMA = 1
_MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 64 * 2**20
_BLOCK = 2**20
_PER_FILE = 4096
"""Bytes of tar headers that a file may bring with it."""
_NAME = re.compile(r"runs/(?P<folder>[^/\0]+/[^/\0]+/[^/\0]+)/(?P<file>[A-Za-z0-9_][A-Za-z0-9._-]*)")
_WRITTEN = frozenset({"predictions.parquet", "features.safetensors", "history.jsonl", "provenance.json"})
_HINT = "ask for the archive again: nothing of it was put into the runs folder"


@dataclass(frozen=True)
class Exported:
    """What went into an archive, and how many runs of the suite have neither a record nor a failure."""

    records: int
    failures: int
    missing: int
    size: int


@dataclass
class Imported:
    """What came out of an archive, by labels of runs.

    ``differing`` have a record here already, with other predictions: it stays. ``suite`` is the suite's file.
    """

    new: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    suite: Path = Path()
    sources: frozenset[str] = frozenset()


def export_runs(plan: Plan, store: RunStore, out: Path) -> Exported:
    """Write every record and failure of a plan, and what it takes to report on them, into one archive.

    Raises
    ------
    InputError
        If the plan has no record.
    StoreError
        If a record is damaged, or the archive cannot be written; an older archive of that name then stays.
    """
    packed: list[Path] = []
    environments: dict[str, Any] = {}
    counts = {"done": 0, "failed": 0, "missing": 0}
    for run in plan.runs:
        status = store.status(run)
        counts[status] += 1
        record = store.record(run)
        if record is not None:
            made = record.provenance()
            environments[str(made.get("environment_key"))] = made.get("environment")
            for name in record.data.get("files", {}):
                record.verify(name)
            packed += _named(record.folder, [RECORD_FILE, LOG_FILE, *record.data.get("files", {})])
        elif (failure := store.failure(run)) is not None:
            packed += _named(failure.folder, [FAILURE_FILE, LOG_FILE])
    if not counts["done"]:
        raise InputError("the suite has no record to export", where=f"suite '{plan.suite.name}'", hint="run it first")
    files = {f"runs/{path.relative_to(store.root).as_posix()}": path for path in packed}
    listed: list[dict[str, Any]] = [
        {"path": name, "size": path.stat().st_size, "sha256": _hash(path)} for name, path in sorted(files.items())
    ]
    manifest = {
        "schema_version": _SCHEMA,
        "harness": __version__,
        "suite": _suite_text(plan),
        "environments": environments,
        "missing": counts["missing"],
        "files": listed,
    }
    text = json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=False).encode()
    target = out.parent if out.parent != Path() else Path.cwd()
    try:
        target.mkdir(parents=True, exist_ok=True)
        hint = "free some space, or name a file on another disk"
        need_space(target, sum(int(entry["size"]) for entry in listed), "the archive", hint=hint)
        replace_file(out, lambda file: _write(file, text, listed, files))
    except OSError as error:
        raise store_error(error, "cannot write the archive", out) from error
    return Exported(counts["done"], counts["failed"], counts["missing"], out.stat().st_size)


def _named(folder: Path, names: Iterable[str]) -> list[Path]:
    """Return what a run has written: whatever else lies in its folder is somebody's litter."""
    return [folder / name for name in names if (folder / name).is_file()]


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _suite_text(plan: Plan) -> str:
    """Return the suite as YAML: data set definitions inside, folders of encoders and plug-ins by name."""
    datasets = {cell.dataset.name: cell.dataset for cell in plan.cells}
    encoders = {
        language: EncoderChoice(folder=f"./{Path(choice.folder).name}") if choice.folder else choice
        for language, choice in plan.suite.text_encoder.items()
    }
    suite = plan.suite.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    suite |= {"datasets": [d.model_dump(mode="json", exclude_none=True) for d in datasets.values()]}
    if plan.suite.plugins:
        suite["plugins"] = [f"./{Path(name).name}" for name in plan.suite.plugins]
    if encoders:
        suite["text_encoder"] = {
            key: choice.model_dump(mode="json", exclude_none=True) for key, choice in encoders.items()
        }
    return yaml.safe_dump(suite, sort_keys=False, allow_unicode=True)


def _write(file: IO[bytes], manifest: bytes, listed: list[dict[str, Any]], files: Mapping[str, Path]) -> None:
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        tar.addfile(_header(_MANIFEST, len(manifest)), io.BytesIO(manifest))
        for entry in listed:
            with files[entry["path"]].open("rb") as content:
                counted = _Counted(content)
                tar.addfile(_header(entry["path"], entry["size"]), counted)
            if counted.digest.hexdigest() != entry["sha256"]:
                raise StoreError(
                    "a file changed while it was packed",
                    where=str(files[entry["path"]]),
                    hint="let the runs of the suite end, then export again",
                )


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o644
    return header


class _Counted:
    """A file that hashes what is read of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def import_runs(path: Path, store: RunStore) -> Imported:
    """Check an archive whole, then put its records into the store; a record that is there already wins.

    Raises
    ------
    InputError
        If it is no archive of the harness, of another schema version, damaged, or holds anything but what its manifest
        names; nothing was put into the store then.
    StoreError
        If the store cannot be written.
    """
    store.prepare()
    drafts: dict[str, Path] = {}
    try:
        with _reading(path), path.open("rb") as file:
            manifest = _unpack(file, store, drafts)
            suite, text = _suite_in(manifest)
        found = Imported()
        checked = [_check(folder, draft, store) for folder, draft in sorted(drafts.items())]
        for _, draft, record in checked:
            _adopt(draft, record, store, found)
        found.suite = _keep_suite(suite, text, store)
        found.sources = frozenset(record.spec.sources for _, _, record in checked if record is not None)
    finally:
        for draft in drafts.values():
            store.discard(draft)
    return found


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever a damaged archive makes its readers raise into an `InputError` that names it."""
    try:
        yield
    except HarnessError:
        raise
    except (OSError, tarfile.TarError, zlib.error, EOFError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"the archive cannot be read: {error}", where=str(path), hint=_HINT) from error


def _refuse(why: str) -> InputError:
    return InputError(f"the archive is not as its manifest says: {why}", where="import", hint=_HINT)


def _unpack(file: IO[bytes], store: RunStore, drafts: dict[str, Path]) -> dict[str, Any]:
    """Put the files of each run into a draft, holding every one against the manifest while it is read."""
    bounded = _Bounded(gzip.GzipFile(fileobj=file, mode="rb"), _LARGEST_MANIFEST + _PER_FILE)
    with tarfile.open(fileobj=bounded, mode="r|", tarinfo=_ShortHeader) as tar:  # type: ignore[call-overload]
        manifest = _manifest(tar)
        listed = {str(entry["path"]): entry for entry in manifest["files"]}
        total = sum(int(entry["size"]) for entry in listed.values())
        need_space(store.root, total, "what is in the archive", hint="free some space, or name another --runs-dir")
        bounded.left += total + _PER_FILE * (len(listed) + 16)
        while (member := tar.next()) is not None:
            entry = listed.pop(member.name, None)
            match = _NAME.fullmatch(member.name)
            if entry is None or match is None or not member.isreg() or ".." in member.name.split("/"):
                raise _refuse(f"it holds {member.name[:200]!a}, which has no place in it")
            if member.size != entry["size"]:
                raise _refuse(f"{member.name!a} has {member.size} bytes, not {entry['size']}")
            if match["folder"] not in drafts:
                drafts[match["folder"]] = store.fresh()
            content = tar.extractfile(member)
            if content is None or _copy(content, drafts[match["folder"]] / match["file"]) != entry["sha256"]:
                raise _refuse(f"{member.name!a} was changed")
    if listed:
        raise _refuse(f"it lacks {min(listed)[:200]!a}" + (f" and {len(listed) - 1} more" if len(listed) > 1 else ""))
    return manifest


def _manifest(tar: tarfile.TarFile) -> dict[str, Any]:
    first = tar.next()
    content = tar.extractfile(first) if first is not None and first.name == _MANIFEST and first.isreg() else None
    if first is None or content is None or first.size > _LARGEST_MANIFEST:
        raise InputError("not an archive of the harness: it does not begin with a manifest", where="import")
    manifest = json.loads(content.read())
    if not isinstance(manifest, dict) or manifest.get("schema_version") != _SCHEMA:
        version = manifest.get("schema_version") if isinstance(manifest, dict) else None
        raise InputError(
            f"schema version {version!r} of the archive is not {_SCHEMA}, the one that this version reads",
            where="import",
            hint="import it with the harness that wrote it, or export it again",
        )
    sizes = [entry["size"] for entry in manifest["files"]]
    if not all(isinstance(size, int) and size >= 0 for size in sizes):
        raise _refuse("a size is not a number")
    return manifest


def _copy(content: IO[bytes], target: Path) -> str:
    digest = hashlib.sha256()
    what = "cannot write what is in the archive"
    with writing(target, what):
        file = target.open("xb")
    with file:
        while block := content.read(_BLOCK):
            digest.update(block)
            with writing(target, what):
                file.write(block)
        with writing(target, what):
            file.flush()
    return digest.hexdigest()


class _ShortHeader(tarfile.TarInfo):
    """A header that says no more than a name needs: tarfile reads long names and attributes whole into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        found = super().frombuf(buf, encoding, errors)
        if found.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) and found.size > _PER_FILE:
            raise _refuse("one of its headers is too long")
        return found


class _Bounded:
    """A decompressed stream that breaks off where the manifest's sizes end: no archive can fill memory or disk."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, left: int) -> None:
        self._stream = stream
        self.left = left

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise _refuse("it is larger")
        return data


def _check(folder: str, draft: Path, store: RunStore) -> tuple[str, Path, Record | None]:
    """Hold a run against itself: it must be a record or a failure, whole, and of the place that it stood in."""
    try:
        record = None if folder.endswith(".failed") else read_record(draft)
        spec = read_failure(draft).spec if record is None else record.spec
        place = store.folder(spec).relative_to(store.root).as_posix()
        if record is not None:
            if record.run_id != spec.run_id:
                raise _refuse(f"the record in {folder!a} is that of another run")
            for name in _hashed(record, draft):
                record.verify(name)
    except StoreError as error:
        raise _refuse(f"{folder!a} is damaged: {error.what}") from error
    if folder != place + (".failed" if record is None else ""):
        raise _refuse(f"{folder!a} is not the place of its run, which is {place!a}")
    return folder, draft, record


def _hashed(record: Record, draft: Path) -> list[str]:
    """Return the files that a record says hashes of; it must be all that a run writes, and nothing else."""
    files = record.data.get("files")
    names = sorted(map(str, files)) if isinstance(files, dict) else []
    there = {path.name for path in draft.iterdir()} - {RECORD_FILE, LOG_FILE}
    if lacking := sorted(_WRITTEN - set(names)):
        raise _refuse(f"the record of {record.run_id!a} has no hash of {lacking[0]}")
    if there != set(names):
        odd = sorted(there.symmetric_difference(names))[0]
        raise _refuse(f"the record of {record.run_id!a} and its files disagree on {odd!a}")
    return names


def _adopt(draft: Path, record: Record | None, store: RunStore, found: Imported) -> None:
    if record is None:
        failure = read_failure(draft)
        if store.status(failure.spec) == "missing":
            store.fail(failure.spec, draft, kind=failure.kind, reason=failure.reason, traceback=failure.traceback)
            found.failures.append(failure.spec.label)
        return
    here = store.record(record.spec)
    if here is None:
        store.publish(record.spec, draft)
        found.new.append(record.spec.label)
        return
    name = "predictions.parquet"
    same = here.data.get("files", {}).get(name) == record.data.get("files", {}).get(name)
    (found.present if same else found.differing).append(record.spec.label)


def _suite_in(manifest: Mapping[str, Any]) -> tuple[Suite, str]:
    """Return the suite of an archive, and its text."""
    text = manifest.get("suite")
    try:
        if not isinstance(text, str):
            raise TypeError("there is none")
        return Suite.model_validate(yaml.safe_load(text)), text
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise _refuse(f"its suite cannot be read: {' '.join(str(error).split())[:200]!a}") from error


def _keep_suite(suite: Suite, text: str, store: RunStore) -> Path:
    """Write the suite beside the records, under a name that is its own."""
    path = store.suites / f"{suite.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.yaml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise store_error(error, "cannot write the suite", path) from error
    return path
