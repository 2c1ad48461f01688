"""Archives: what goes in comes out, and nothing that was tampered with does."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import archive
from harness.archive import export_runs, import_runs
from harness.errors import InputError, StoreError
from harness.plan import Plan
from harness.store import RunStore
from harness.suites import load_suite
from tests.helpers import fake_record
from tests.reports import fakes
from tests.store.tools import fail

Members = list[tuple[str, bytes]]


def plan() -> Plan:
    return fakes.plan([fakes.dataset()], models=("LMF", "TFN"), variants=("original", "fg"), seeds=(1, 2))


def filled(folder: Path) -> tuple[Plan, RunStore]:
    """Make a store with six records, one failure and one missing run."""
    store, made = RunStore(folder), plan()
    store.prepare()
    for run in made.runs[:6]:
        fake_record(store, run)
    fail(store, made.runs[6])
    return made, store


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    made, store = filled(tmp_path / "from")
    export_runs(made, store, tmp_path / "a.tar.gz")
    return tmp_path / "a.tar.gz"


def members(path: Path) -> Members:
    with tarfile.open(path) as tar:
        found = []
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            found.append((member.name, content.read()))
        return found


def repack(path: Path, found: Members, header: Callable[[tarfile.TarInfo], None] = lambda info: None) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in found:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            header(info)
            tar.addfile(info, io.BytesIO(content))
    return path


def with_manifest(found: Members, change: Callable[[dict[str, Any]], None]) -> Members:
    manifest = json.loads(found[0][1])
    change(manifest)
    return [(found[0][0], json.dumps(manifest).encode()), *found[1:]]


def nothing_in(store: RunStore) -> bool:
    return not list(store.records()) and not list((store.root / ".tmp").iterdir())


def test_a_round_trip_gives_the_same_files(tmp_path: Path) -> None:
    made, store = filled(tmp_path / "from")
    done = export_runs(made, store, tmp_path / "out" / "a.tar.gz")
    assert (done.records, done.failures, done.missing) == (6, 1, 1)
    target = RunStore(tmp_path / "to")
    found = import_runs(tmp_path / "out" / "a.tar.gz", target)
    assert len(found.new) == 6
    assert len(found.failures) == 1
    for run in made.runs[:6]:
        one, other = store.folder(run), target.folder(run)
        assert {p.name: p.read_bytes() for p in one.iterdir()} == {p.name: p.read_bytes() for p in other.iterdir()}
    failure, ours = target.failure(made.runs[6]), store.failure(made.runs[6])
    assert failure is not None
    assert ours is not None
    assert (failure.kind, failure.reason, failure.log()) == (ours.kind, ours.reason, ours.log())
    assert list((target.root / ".tmp").iterdir()) == []
    suite, _ = load_suite(str(found.suite))
    assert (suite.name, suite.models, suite.seeds) == (made.suite.name, made.suite.models, made.suite.seeds)


def test_the_same_records_give_the_same_bytes_without_paths_of_this_machine(tmp_path: Path) -> None:
    made, store = filled(tmp_path / "from")
    export_runs(made, store, tmp_path / "a.tar.gz")
    export_runs(made, store, tmp_path / "b.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    found = members(tmp_path / "a.tar.gz")
    assert found[0][0] == "manifest.json"
    assert [name for name, _ in found[1:]] == sorted(name for name, _ in found[1:])
    assert str(tmp_path).encode() not in found[0][1]
    entries = json.loads(found[0][1])["files"]
    assert {e["path"]: e["sha256"] for e in entries} == {n: hashlib.sha256(c).hexdigest() for n, c in found[1:]}


def test_what_is_there_already_stays(tmp_path: Path, packed: Path) -> None:
    made = plan()
    target = RunStore(tmp_path / "to")
    target.prepare()
    fake_record(target, made.runs[0])
    fake_record(target, made.runs[1], noise=3.0)
    before = {p.name: p.read_bytes() for p in target.folder(made.runs[1]).iterdir()}
    found = import_runs(packed, target)
    assert (len(found.new), found.present, found.differing) == (4, [made.runs[0].label], [made.runs[1].label])
    assert {p.name: p.read_bytes() for p in target.folder(made.runs[1]).iterdir()} == before
    assert import_runs(packed, target).new == []


def test_a_suite_without_a_record_is_not_exported(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    with pytest.raises(InputError, match="no record to export"):
        export_runs(plan(), store, tmp_path / "a.tar.gz")
    assert not (tmp_path / "a.tar.gz").exists()


def test_a_damaged_record_is_not_exported_over_an_older_archive(tmp_path: Path) -> None:
    made, store = filled(tmp_path / "from")
    out = tmp_path / "a.tar.gz"
    out.write_text("older")
    (store.folder(made.runs[0]) / "provenance.json").write_text("{}")
    with pytest.raises(StoreError, match="changed after the run"):
        export_runs(made, store, out)
    assert out.read_text() == "older"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../../etc/passwd", "has no place in it"),
        ("/etc/passwd", "has no place in it"),
        ("runs/toy/LMF/../../../x/record.json", "has no place in it"),
        ("runs/toy/LMF/extra/record.json", "has no place in it"),
        ("extra.txt", "has no place in it"),
    ],
)
def test_files_that_the_manifest_does_not_name_are_refused(
    tmp_path: Path, packed: Path, name: str, message: str
) -> None:
    store = RunStore(tmp_path / "to")
    with pytest.raises(InputError, match=message):
        import_runs(repack(packed, [*members(packed), (name, b"x")]), store)
    assert nothing_in(store)


@pytest.mark.parametrize("name", ["runs/a/b/../record.json", "runs/../../../x", "runs/a/b/c/.hidden", "/runs/a/b/c/d"])
def test_names_that_lead_elsewhere_are_refused_even_if_the_manifest_has_them(
    tmp_path: Path, packed: Path, name: str
) -> None:
    entry = {"path": name, "size": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    found = with_manifest(members(packed), lambda manifest: manifest["files"].append(entry))
    store = RunStore(tmp_path / "to")
    with pytest.raises(InputError, match="has no place in it"):
        import_runs(repack(packed, [*found, (name, b"x")]), store)
    assert nothing_in(store)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, packed: Path, kind: bytes) -> None:
    found = members(packed)
    last = found[-1][0]

    def header(info: tarfile.TarInfo) -> None:
        if info.name == last:
            info.type, info.linkname = kind, "/etc/passwd"

    store = RunStore(tmp_path / "to")
    with pytest.raises(InputError, match=r"has no place|cannot be read"):
        import_runs(repack(packed, found, header), store)
    assert nothing_in(store)


def test_every_changed_or_missing_file_is_noticed(tmp_path: Path, packed: Path) -> None:
    found = members(packed)
    for number in range(1, len(found), 5):
        name, content = found[number]
        flipped = bytes([content[0] ^ 1]) + content[1:] if content else b"x"
        store = RunStore(tmp_path / f"flip{number}")
        changed = [*found[:number], (name, flipped), *found[number + 1 :]]
        with pytest.raises(InputError, match=r"was changed|bytes, not"):
            import_runs(repack(tmp_path / "flip.tar.gz", changed), store)
        assert nothing_in(store)
        store = RunStore(tmp_path / f"gone{number}")
        with pytest.raises(InputError, match="it lacks"):
            import_runs(repack(tmp_path / "gone.tar.gz", [*found[:number], *found[number + 1 :]]), store)
        assert nothing_in(store)


def test_a_record_under_another_run_s_address_is_refused(tmp_path: Path, packed: Path) -> None:
    found = members(packed)
    folders = sorted({name.rpartition("/")[0] for name, _ in found[1:] if ".failed" not in name})
    swapped = {folders[0]: folders[1], folders[1]: folders[0]}

    def renamed(name: str) -> str:
        folder, _, file = name.rpartition("/")
        return f"{swapped.get(folder, folder)}/{file}" if folder else name

    def change(manifest: dict[str, Any]) -> None:
        for entry in manifest["files"]:
            entry["path"] = renamed(entry["path"])

    moved = [(renamed(name), content) for name, content in with_manifest(found, change)]
    store = RunStore(tmp_path / "to")
    with pytest.raises(InputError, match="is not the place of its run"):
        import_runs(repack(packed, moved), store)
    assert nothing_in(store)


def test_a_record_whose_spec_was_edited_is_refused(tmp_path: Path, packed: Path) -> None:
    found = members(packed)
    number = next(i for i, (name, _) in enumerate(found) if name.endswith("record.json"))
    name, content = found[number]
    record = json.loads(content)
    record["spec"]["hyper"]["learning_rate"] = 0.5
    edited = json.dumps(record).encode()

    def change(manifest: dict[str, Any]) -> None:
        (entry,) = [entry for entry in manifest["files"] if entry["path"] == name]
        entry |= {"size": len(edited), "sha256": hashlib.sha256(edited).hexdigest()}

    tampered = with_manifest([*found[:number], (name, edited), *found[number + 1 :]], change)
    store = RunStore(tmp_path / "to")
    with pytest.raises(InputError, match="is that of another run"):
        import_runs(repack(packed, tampered), store)
    assert nothing_in(store)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_version_is_refused(tmp_path: Path, packed: Path, version: object) -> None:
    found = with_manifest(members(packed), lambda manifest: manifest.update(schema_version=version))
    with pytest.raises(InputError, match="schema version"):
        import_runs(repack(packed, found), RunStore(tmp_path / "to"))


def test_other_files_are_told_from_archives(tmp_path: Path) -> None:
    for number, content in enumerate([b"", b"text", gzip.compress(b""), gzip.compress(b"x" * 5000)]):
        path = tmp_path / f"{number}.tar.gz"
        path.write_bytes(content)
        with pytest.raises(InputError, match="archive"):
            import_runs(path, RunStore(tmp_path / "to"))
    with pytest.raises(InputError, match="does not begin with a manifest"):
        import_runs(repack(tmp_path / "b.tar.gz", [("a", b"b")]), RunStore(tmp_path / "to"))


def test_a_header_as_large_as_a_file_is_not_read(tmp_path: Path, packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = members(packed)
    monkeypatch.setattr(archive, "_LARGEST_MANIFEST", len(found[0][1]) + 1024)

    def header(info: tarfile.TarInfo) -> None:
        if info.name == found[1][0]:
            info.pax_headers = {"comment": "x" * 8_000_000}

    store = RunStore(tmp_path / "to")
    with pytest.raises(InputError, match="one of its headers is too long"):
        import_runs(repack(packed, found, header), store)
    assert nothing_in(store)


def rewritten(found: Members, change: Callable[[dict[str, Any]], None]) -> Members:
    """Change the first record.json, and let the manifest agree with it."""
    name, content = next((n, c) for n, c in found if n.endswith("/record.json"))
    record = json.loads(content)
    change(record)
    return replaced(found, name, json.dumps(record).encode())


def replaced(found: Members, name: str, content: bytes | None) -> Members:
    """Put another file in the place of one, or none, and let the manifest agree with it."""
    rest = [
        (n, content if n == name and content is not None else c) for n, c in found if n != name or content is not None
    ]

    def agree(manifest: dict[str, Any]) -> None:
        manifest["files"] = [
            {"path": n, "size": len(c), "sha256": hashlib.sha256(c).hexdigest()}
            for n, c in rest
            if n != "manifest.json"
        ]

    return with_manifest(rest, agree)


@pytest.mark.parametrize("name", ["/dev/zero", "/etc/passwd", "../../x"])
def test_a_record_that_names_files_elsewhere_is_refused_and_they_are_not_read(
    tmp_path: Path, packed: Path, name: str
) -> None:
    found = rewritten(members(packed), lambda record: record["files"].update({name: "0" * 64}))
    store = RunStore(tmp_path / "to")
    with pytest.raises(InputError, match="disagree on"):
        import_runs(repack(packed, found), store)
    assert nothing_in(store)


def test_a_record_without_its_predictions_is_refused(tmp_path: Path, packed: Path) -> None:
    store = RunStore(tmp_path / "to")
    found = members(packed)
    for change in (lambda record: record.pop("files"), lambda record: record["files"].pop("predictions.parquet")):
        with pytest.raises(InputError, match="no hash of"):
            import_runs(repack(packed, rewritten(found, change)), store)
    name = next(n for n, _ in found if n.endswith("/predictions.parquet"))
    with pytest.raises(InputError, match=r"disagree on 'predictions\.parquet'"):
        import_runs(repack(packed, replaced(found, name, None)), store)
    assert nothing_in(store)


@pytest.mark.parametrize("suite", [None, "name: [", "name: x\nmodels: 7\n", 7])
def test_an_archive_without_a_sound_suite_is_refused_before_anything_is_stored(
    tmp_path: Path, packed: Path, suite: object
) -> None:
    store = RunStore(tmp_path / "to")
    with pytest.raises(InputError, match="its suite cannot be read"):
        import_runs(repack(packed, with_manifest(members(packed), lambda m: m.update(suite=suite))), store)
    assert nothing_in(store)


def test_a_damaged_record_is_not_exported_and_litter_is_left_out(tmp_path: Path) -> None:
    made, store = filled(tmp_path / "from")
    (store.folder(made.runs[0]) / ".DS_Store").write_bytes(b"litter")
    (store.folder(made.runs[0]) / "my notes.txt").write_bytes(b"litter")
    export_runs(made, store, tmp_path / "a.tar.gz")
    assert len(import_runs(tmp_path / "a.tar.gz", RunStore(tmp_path / "to")).new) == 6
    file = store.folder(made.runs[1]) / "predictions.parquet"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(StoreError, match="changed after the run"):
        export_runs(made, store, tmp_path / "b.tar.gz")
    assert not (tmp_path / "b.tar.gz").exists()


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path: Path, packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def full(path: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
        if mode == "xb":
            raise OSError(122, "Disk quota exceeded")
        return real(path, mode, *more, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(StoreError, match="Disk quota exceeded"):
        import_runs(packed, RunStore(tmp_path / "to"))


def test_names_in_an_archive_reach_no_terminal_as_they_are(tmp_path: Path, packed: Path) -> None:
    found = [*members(packed), ("runs/\x1b[2J\ndo: curl evil", b"")]
    with pytest.raises(InputError) as caught:
        import_runs(repack(packed, found), RunStore(tmp_path / "to"))
    assert "\x1b" not in str(caught.value)
    assert "curl evil" not in str(caught.value).splitlines()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_truncated_or_garbled_archive_gives_an_error_and_nothing_else(
    tmp_path: Path, packed: Path, data: st.DataObject
) -> None:
    content = bytearray(packed.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 20))]
    else:
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
    damaged = tmp_path / "damaged.tar.gz"
    damaged.write_bytes(content)
    store = RunStore(tmp_path / "garbled")
    try:
        found = import_runs(damaged, store)
    except InputError:
        assert nothing_in(store)
    else:  # a byte that means nothing, such as the name of the operating system in gzip's header
        assert len(found.new) + len(found.present) == 6
        for run in plan().runs[:6]:
            store.discard(store.folder(run))
