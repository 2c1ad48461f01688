from __future__ import annotations

import collections
import copyreg
import io
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.data import read_pickle
from harness.errors import DataError

PROTOCOLS = range(6)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.frozensets(st.integers(), max_size=3)
    | st.binary(max_size=8).map(bytearray)
)
containers = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(st.text(max_size=3), max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
dtypes: st.SearchStrategy[np.dtype[Any]] = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(sizes=(16, 32, 64), endianness="?"),
    hnp.unicode_string_dtypes(endianness="?", max_len=5),
    hnp.byte_string_dtypes(max_len=5),
)
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


class Calls:
    """Pickles as a call of `function`, the way an attack does."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


class Builds:
    """Pickles as `made` with a state put on it."""

    def __init__(self, made: Any, args: tuple[Any, ...], state: Any) -> None:
        self.parts = (made, args, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.parts


@quick
@given(data=st.dictionaries(st.text(max_size=5), containers, max_size=4), protocol=st.sampled_from(PROTOCOLS))
def test_plain_containers_come_back_equal(data: dict[str, Any], protocol: int, tmp_path: Path) -> None:
    assert read_pickle(written(tmp_path / "f.pkl", pickle.dumps(data, protocol))) == data


@quick
@given(array=arrays, fortran=st.booleans(), protocol=st.sampled_from(PROTOCOLS))
def test_arrays_come_back_equal(array: np.ndarray[Any, Any], fortran: bool, protocol: int, tmp_path: Path) -> None:
    array = np.asfortranarray(array) if fortran else array
    content = pickle.dumps({"array": array, "again": [array]}, protocol)
    data = read_pickle(written(tmp_path / "f.pkl", content))
    assert type(data["array"]) is np.ndarray
    # numpy itself brings the byte order to the machine's while reading some of its forms.
    assert data["array"].dtype == pickle.loads(content)["array"].dtype
    assert data["array"].flags.f_contiguous == array.flags.f_contiguous
    np.testing.assert_array_equal(data["array"], array)
    assert data["again"][0] is data["array"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_object_arrays_scalars_dtypes_and_ordered_dicts(protocol: int, tmp_path: Path) -> None:
    inner = np.arange(3.0)
    mixed = np.array(["a", inner, None, 4], dtype=object).reshape(2, 2)
    data = {
        "mixed": mixed,
        "scalar": np.float32(1.5),
        "text": np.str_("ab"),
        "dtype": np.dtype(">f4"),
        "ordered": collections.OrderedDict(b=1, a=np.zeros(2)),
        "transposed": np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
    }
    got = read_pickle(written(tmp_path / "f.pkl", pickle.dumps(data, protocol)))
    assert got["mixed"].shape == (2, 2)
    assert got["mixed"][0, 0] == "a"
    assert type(got["mixed"][0, 1]) is np.ndarray
    assert got["scalar"] == np.float32(1.5)
    assert type(got["scalar"]) is np.float32
    assert got["text"] == "ab"
    assert got["dtype"] == np.dtype(">f4")
    assert list(got["ordered"]) == ["b", "a"]
    assert type(got["ordered"]["a"]) is np.ndarray
    np.testing.assert_array_equal(got["transposed"], data["transposed"])


def test_the_names_of_numpy_1_and_2_are_both_read(tmp_path: Path) -> None:
    content = pickle.dumps({"a": np.arange(3), "s": np.float64(2)}, 2)
    for name in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        other = content.replace(b"numpy._core.multiarray", name).replace(b"numpy.core.multiarray", name)
        np.testing.assert_array_equal(read_pickle(written(tmp_path / "f.pkl", other))["a"], np.arange(3))


def test_a_cycle_is_no_trap(tmp_path: Path) -> None:
    data: dict[str, Any] = {"list": []}
    data["list"].append(data)
    got = read_pickle(written(tmp_path / "f.pkl", pickle.dumps(data)))
    assert got["list"][0] is got


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda canary: Calls(os.system, f"touch {canary}"), f"{os.system.__module__}.system"),
        (lambda canary: Calls(eval, f"open({str(canary)!r}, 'w')"), "eval"),
        (lambda canary: Calls(exec, f"open({str(canary)!r}, 'w')"), "exec"),
        (lambda canary: Calls(open, str(canary), "w"), "open"),
        (
            lambda canary: Calls(subprocess.Popen, ["touch", str(canary)]),
            "Popen",
        ),  # older protocols spell its module "commands"
        (lambda canary: Calls(np.save, str(canary), 1), "numpy.save"),
        (lambda canary: Calls(np.fromfile, str(canary)), "numpy.fromfile"),
        (lambda canary: Calls(getattr, str(canary), "upper"), "getattr"),
        (lambda canary: Calls(__import__, "antigravity"), "__import__"),
        (lambda canary: Path(canary), "pathlib"),
        (lambda canary: np.ma.masked_array([1, 2]), "numpy.ma"),
        (lambda canary: collections.defaultdict(list), "collections.defaultdict"),
    ],
)
def test_anything_else_is_refused_by_name(
    make: Callable[[Path], Any], name: str, protocol: int, tmp_path: Path
) -> None:
    canary = tmp_path / "canary.npy"
    in_array = np.array([make(canary)], dtype=object) if isinstance(make(canary), Calls) else make(canary)
    for content in ({"train": make(canary)}, {"train": in_array}):
        path = written(tmp_path / "f.pkl", pickle.dumps(content, protocol))
        with pytest.raises(DataError, match=name):
            read_pickle(path)
    assert not canary.exists()


def test_a_stand_in_cannot_be_altered_or_misused(tmp_path: Path) -> None:
    frombuffer = np.arange(2).__reduce_ex__(5)[0]
    rebuild = np.arange(2).__reduce__()[0]
    forged_object = (3, "|", None, None, None, 8, 8, 0)  # "no objects in here": raw bytes would become pointers
    forged_fields = (3, "|", None, ("a",), {"a": (np.dtype("i8"), 4096)}, 8, 8, 0)  # beyond the end of the item
    attacks: list[Any] = [
        Builds(rebuild, (np.ndarray, (0,), b"b"), (1, (10**6,), np.dtype("f8"), False, b"12345678")),
        Builds(rebuild, (np.ndarray, (0,), b"b"), (1, (1,), np.dtype("O"), False, b"12345678")),
        Builds(rebuild, (np.ndarray, (0,), b"b"), (1, (2,), np.dtype("O"), False, ["one"])),
        Builds(rebuild, (np.ndarray, (0,), b"b"), (1, (-1,), np.dtype("f8"), False, b"")),
        Builds(rebuild, (np.matrix, (0,), b"b"), (1, (1,), np.dtype("f8"), False, b"12345678")),
        Builds(np.dtype, ("V8", False, True), forged_fields),
        Builds(np.dtype, ("f8", False, True), forged_fields),
        Calls(frombuffer, b"12345678", np.dtype("O"), (1,), "C"),
        Calls(frombuffer, b"12345678", np.dtype("f8"), (4,), "C"),
        Calls(np.ndarray, (2**40,)),
        Calls(bytearray, 2**40),
        Calls(bytes, 2**40),
        np.ndarray,
        np.zeros(2, "i4,f4"),
        np.zeros(2, "M8[s]"),
    ]
    for attack in attacks:
        with pytest.raises(DataError):
            read_pickle(written(tmp_path / "f.pkl", pickle.dumps({"a": attack}, 4)))
    # A forged state of an object dtype is not believed: the array needs a list of objects all the same.
    dtype = Builds(np.dtype, ("O8", False, True), forged_object)
    array = Builds(rebuild, (np.ndarray, (0,), b"b"), (1, (1,), dtype, False, b"12345678"))
    with pytest.raises(DataError, match="other data than that"):
        read_pickle(written(tmp_path / "f.pkl", pickle.dumps({"a": array}, 4)))


def test_functions_keep_their_defaults(tmp_path: Path) -> None:
    for state in (b"}X\x01\x00\x00\x00aK\x01s", b"N}X\x0c\x00\x00\x00__defaults__NsX\x01\x00\x00\x00aK\x01s\x86"):
        content = b"\x80\x02cnumpy._core.numeric\n_frombuffer\n" + state + b"b."
        with pytest.raises(DataError):
            read_pickle(written(tmp_path / "f.pkl", content))


def test_a_codec_other_than_latin_1_is_refused(tmp_path: Path) -> None:
    import _codecs

    content = pickle.dumps({"a": Calls(_codecs.encode, "x", "punycode")})
    with pytest.raises(DataError, match="punycode"):
        read_pickle(written(tmp_path / "f.pkl", content))


def test_persistent_ids_and_extension_codes_are_refused(tmp_path: Path) -> None:
    class Persistent(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return "elsewhere" if obj == 1 else None

    buffer = io.BytesIO()
    Persistent(buffer).dump({"a": 1})
    with pytest.raises(DataError, match="persistent"):
        read_pickle(written(tmp_path / "f.pkl", buffer.getvalue()))

    copyreg.add_extension(os.getcwd.__module__, "getcwd", 245)
    try:
        content = pickle.dumps({"a": Calls(os.getcwd)}, 2)
        assert b"\x82\xf5" in content
        pickle.loads(b"\x80\x02\x82\xf5.")  # fills the cache that would pass by the allow-list
        with pytest.raises(DataError, match="getcwd"):
            read_pickle(written(tmp_path / "f.pkl", content))
    finally:
        copyreg.remove_extension(os.getcwd.__module__, "getcwd", 245)
    with pytest.raises(DataError, match="extension"):
        read_pickle(written(tmp_path / "f.pkl", content))


RECONSTRUCT = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
OBJECT = b"(K\x01(K\x01tcnumpy\ndtype\n(X\x02\x00\x00\x00O8\x89\x88tR\x89]"  # state of one object, up to its data


def nested_arrays(levels: int) -> bytes:
    """An array of objects in an array of objects, and so on."""
    return b"\x80\x03}X\x01\x00\x00\x00a" + (RECONSTRUCT + OBJECT) * levels + b"N" + b"atb" * levels + b"s."


def nested_arrays_from_outside(levels: int) -> bytes:
    """The same, each put into the next before it has a state of its own."""
    blocks = [RECONSTRUCT + b"r" + struct.pack("<I", i) + b"0" for i in range(levels)]
    for i in reversed(range(1, levels)):
        get = [b"j" + struct.pack("<I", k) for k in (i, i - 1)]
        blocks.append(get[0] + OBJECT + get[1] + b"atb0")
    return b"\x80\x03" + b"".join(blocks) + b"}X\x01\x00\x00\x00aj" + struct.pack("<I", levels - 1) + b"s."


DEEP = b")" + b"\x85" * 400_000
OVERFLOWS = {
    "key": b"\x80\x04}" + DEEP + b"Ns.",
    "one of several keys": b"\x80\x04}(" + DEEP + b"Nu.",
    "key of a whole dictionary": b"\x80\x04(" + DEEP + b"Nd.",
    "key of an ordered dictionary": b"\x80\x04ccollections\nOrderedDict\n]]" + DEEP + b"aNaa\x85R.",
    "item of a set": b"\x80\x04}N\x8f(" + DEEP + b"\x90s.",
    "item of a frozenset": b"\x80\x04}N(" + DEEP + b"\x91s.",
    "item of a named frozenset": b"\x80\x04}Ncbuiltins\nfrozenset\n](" + DEEP + b"e\x85Rs.",
    "arrays in arrays": nested_arrays(40_000),
    "arrays in arrays, from outside": nested_arrays_from_outside(40_000),
}
READ_ALL = """
import sys
from pathlib import Path
from harness.data import read_pickle
from harness.errors import DataError
for name in sys.argv[1:]:
    try:
        del [read_pickle(Path(name))][:]
    except DataError:
        print("refused", flush=True)
"""


def test_what_would_overflow_the_stack_of_c_is_refused(tmp_path: Path) -> None:
    # In a process of its own: a failure is a crash.
    paths = [str(written(tmp_path / f"{i}.pkl", content)) for i, content in enumerate(OVERFLOWS.values())]
    child = subprocess.run([sys.executable, "-c", READ_ALL, *paths], capture_output=True, text=True, timeout=120)
    assert (child.returncode, child.stdout.split()) == (0, ["refused"] * len(paths)), child.stderr


def test_keys_with_shared_parts_do_not_take_for_ever(tmp_path: Path) -> None:
    double = b"2\x86" * 60  # a pair of the same thing twice, sixty times over: 2 ** 60 leaves
    fibonacci = b"(K\x01\x91q\x00(K\x02\x91q\x01" + b"(h\x00h\x01\x91q\x02(h\x01h\x02\x91q\x00" * 30
    for content in (b"}N" + double + b"Ns.", b"}X\x01\x00\x00\x00a" + fibonacci + b"0s."):
        with pytest.raises(DataError, match="a key or an item of a set"):
            read_pickle(written(tmp_path / "f.pkl", b"\x80\x04" + content))


def test_messages_do_not_write_out_what_has_shared_parts(tmp_path: Path) -> None:
    huge = b")" + b"2\x86" * 60
    dtype = b"cnumpy\ndtype\n"
    for content in (
        dtype + huge + b"\x85R.",
        dtype + b"(X\x02\x00\x00\x00f8tR(K\x03" + huge + b"NNNtb.",
        RECONSTRUCT + b"(K\x01" + huge + dtype + b"(X\x02\x00\x00\x00f8tR\x89C\x00tb.",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00a" + huge + b"tR.",
    ):
        with pytest.raises(DataError) as caught:
            read_pickle(written(tmp_path / "f.pkl", b"\x80\x04" + content))
        assert len(str(caught.value)) < 1000


def test_plain_tuples_are_keys(tmp_path: Path) -> None:
    data = {("video", 3): {("a", 1), ("b", 2)}, "c": {(None,): 1}}
    for protocol in PROTOCOLS:
        assert read_pickle(written(tmp_path / "f.pkl", pickle.dumps(data, protocol))) == data


def test_memory_follows_the_size_of_the_file_not_what_it_claims(tmp_path: Path) -> None:
    memo = b"\x80\x04}r" + struct.pack("<I", 2**24) + b"."
    array = b"\x80\x05}N\x96" + struct.pack("<Q", 2**28) + b"s."
    frame = b"\x80\x04\x95" + struct.pack("<Q", 2**28) + b"}."
    tracemalloc.start()
    try:
        for content in (memo, array, frame):
            tracemalloc.reset_peak()
            with suppress(DataError):
                read_pickle(written(tmp_path / "f.pkl", content))
            if content is not frame:  # room that is asked for and never touched
                assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("code", ["S0", "U0"])
def test_items_of_no_size_have_no_number(code: str, tmp_path: Path) -> None:
    rebuild, frombuffer = np.arange(2).__reduce__()[0], np.arange(2).__reduce_ex__(5)[0]
    for attack in (
        Builds(rebuild, (np.ndarray, (0,), b"b"), (1, (10**15,), np.dtype(code), False, b"")),
        Calls(frombuffer, b"", np.dtype(code), (10**15,), "C"),
    ):
        with pytest.raises(DataError, match="no size"):
            read_pickle(written(tmp_path / "f.pkl", pickle.dumps({"a": attack}, 4)))


@pytest.mark.parametrize("order", "<>")
def test_characters_that_do_not_exist_are_refused(order: str, tmp_path: Path) -> None:
    rebuild, frombuffer = np.arange(2).__reduce__()[0], np.arange(2).__reduce_ex__(5)[0]
    scalar = np.str_("a").__reduce__()[0]
    dtype = np.dtype(f"{order}U2")
    for last, fine in ((0x10FFFF, True), (0x110000, False), (0xFFFFFFFF, False)):
        data = np.array([65, last], f"{order}u4").tobytes()
        for made in (
            Builds(rebuild, (np.ndarray, (0,), b"b"), (1, (1,), dtype, False, data)),
            Calls(frombuffer, data, dtype, (1,), "C"),
            Calls(scalar, dtype, data),
        ):
            path = written(tmp_path / "f.pkl", pickle.dumps({"a": made}, 4))
            if fine:
                assert np.ravel(read_pickle(path)["a"])[0] == "A\U0010ffff"
            else:
                with pytest.raises(DataError, match="do not exist"):
                    read_pickle(path)


def test_a_pickle_cannot_drive_indexed_assignment(tmp_path: Path) -> None:
    array = pickle.dumps(np.arange(3), 2)[2:-1]
    for steps in (b"K\x00K\x07s", b"(K\x00K\x07u", b"NK\x07s"):
        with pytest.raises(DataError, match="assigns to parts of an array"):
            read_pickle(written(tmp_path / "f.pkl", b"\x80\x02}X\x01\x00\x00\x00a" + array + steps + b"s."))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"i\x1b[2J\nx\n.", "not a pickle"),
        (b"\x80\x04\xff.", "step that no pickle has"),
        (b"\x80\x04}a.", "cannot be read"),
        (b"\x80\x04}(K\x01u.", "cannot be read"),
        (b"\x80\x04}(K\x01\x90.", "than a set"),
        (b"\x80\x04}K", "cut short"),
        (b"\x80\x04}M\x00", "cut short"),
        (b"PK\x03\x04 and so on", "zip archive"),
        (b"<!DOCTYPE html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
        (b"id,text\n1,hello\n", "not a pickle"),
        (pickle.dumps([1, 2]), "not a dictionary"),
        (pickle.dumps({"a": np.arange(100)})[:-40], "cut short"),
        (b"\x80\x63.", "cannot be read"),
        (b"\x80\x04" + b"(" * 50 + b".", "cannot be read"),
    ],
)
def test_what_is_no_whole_pickle_says_what_it_is(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_pickle(written(tmp_path / "f.pkl", content))
    assert str(tmp_path) in caught.value.where


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.pkl", tmp_path):
        with pytest.raises(DataError, match="cannot read"):
            read_pickle(path)


def test_deep_nesting_is_an_error_not_a_crash(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        read_pickle(written(tmp_path / "f.pkl", b"\x80\x04}\x8c\x01a" + b"]" * 100_000 + b"a" * 99_999 + b"s."))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1), protocol=st.sampled_from(PROTOCOLS))
def test_a_truncated_file_is_an_error_or_whole(share: float, protocol: int, tmp_path: Path) -> None:
    data = {"train": {"x": np.arange(20.0), "ids": np.array(["a", "b"], object), "n": [1, 2]}, "test": {"y": (1, b"z")}}
    content = pickle.dumps(data, protocol)
    cut = int(share * len(content))
    path = written(tmp_path / "f.pkl", content[:cut])
    if cut == len(content):
        assert read_pickle(path)["test"] == data["test"]
    else:
        with pytest.raises(DataError):
            read_pickle(path)
