"""MMSA's pickle format, read without running anything that the file says.

A pickle is a program. This reader lets it name a fixed list of things only, and each of them is a stand-in written
here rather than numpy's own constructor: numpy's dtype and array constructors trust what the pickle tells them (a
forged dtype state can pass raw bytes off as object pointers), so the stand-ins check it first. A stand-in cannot be
altered by the file either, as a Python function could be through its ``__defaults__``.
"""

from __future__ import annotations

import copyreg
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from harness.errors import DataError

__all__ = ["read_pickle"]

_DTYPE_CODE = re.compile(r"[|<>=]?(?:b1|\?|[iu][1248]|f[248]|O8?|[US][0-9]{1,7})")
_HINT = "a feature file holds numpy arrays, numbers, text and plain containers; write it again with nothing else in it"
_OTHER_FORMATS = (
    (b"PK\x03\x04", "a zip archive (an .npz file or a torch checkpoint?)"),
    (b"\x1f\x8b", "gzip data: unpack it first"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a .npy file"),
    (b"version https://git-lfs", "a Git LFS pointer: the real file was not fetched"),
    (b"<", "a web page or XML"),
)


class _StandIn:
    """Something a pickle may name and call, and nothing else: no attribute of it can be set."""

    __slots__ = ("_function", "name")
    __hash__ = None  # type: ignore[assignment]  # never a dictionary key, so that none can hide in one

    _function: Callable[..., Any]
    name: str

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "_function", function)

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise pickle.UnpicklingError(f"the file tries to alter {self.name}")


class _Dtype:
    """A dtype as the pickle describes it, held back until it has been checked."""

    __slots__ = ("real",)
    __hash__ = None  # type: ignore[assignment]

    real: np.dtype[Any]

    def __init__(self, code: Any, *_flags: Any) -> None:
        if not isinstance(code, str) or not _DTYPE_CODE.fullmatch(code):
            raise pickle.UnpicklingError(f"arrays of dtype {code!r} are not accepted")
        self.real = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        # The byte order is all that matters here: names, fields and sub-arrays belong to structured dtypes, and
        # sizes and flags follow from the code. Taking them from the file is what makes a forged dtype dangerous.
        if not isinstance(state, tuple) or len(state) < 5 or state[2:5] != (None, None, None):
            raise pickle.UnpicklingError("structured arrays are not accepted")
        if state[1] not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError(f"unknown byte order {state[1]!r}")
        self.real = self.real.newbyteorder(state[1])


class _Array(np.ndarray[Any, Any]):
    """An array under construction: the size of its data is checked against its shape before numpy sees them."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array's state is not one that numpy writes")
        version, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Dtype):
            raise pickle.UnpicklingError("an array without a dtype")
        expected = math.prod(_shape(shape))
        if dtype.real.hasobject:
            right = isinstance(data, list) and len(data) == expected
        else:
            right = isinstance(data, bytes) and len(data) == expected * dtype.real.itemsize
        if not right:
            raise pickle.UnpicklingError(f"an array of shape {shape} and dtype {dtype.real} has other data than that")
        checked: Any = (int(version), shape, dtype.real, bool(fortran), data)
        super().__setstate__(checked)


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple) or not all(type(n) is int and n >= 0 for n in value):
        raise pickle.UnpicklingError(f"{value!r} is no array shape")
    return value


def _no_call(*_args: Any) -> NoReturn:
    raise pickle.UnpicklingError("the file calls numpy.ndarray, which no array needs")


_NDARRAY = _StandIn("numpy.ndarray", _no_call)


def _reconstruct(kind: Any, *_start: Any) -> _Array:
    if kind is not _NDARRAY:
        raise pickle.UnpicklingError("only plain numpy arrays are accepted")
    return _Array((0,), np.int8)


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None, /) -> Any:
    if not isinstance(data, (bytes, bytearray)) or not isinstance(dtype, _Dtype) or order not in ("C", "F", "K", "A"):
        raise pickle.UnpicklingError("an array's buffer is not one that numpy writes")
    flat = np.frombuffer(data, dtype=dtype.real) if data else np.empty(0, dtype.real)
    if order == "K" and axis_order is not None:
        return flat.reshape(_shape(shape)).transpose(_shape(axis_order)).view(_Array)
    return flat.reshape(_shape(shape), order="F" if order == "F" else "C").view(_Array)


def _scalar(dtype: Any, data: Any, /) -> Any:
    if not isinstance(dtype, _Dtype) or dtype.real.hasobject or not isinstance(data, bytes):
        raise pickle.UnpicklingError("a scalar is not one that numpy writes")
    if dtype.real.itemsize == 0:
        return dtype.real.type()
    if len(data) != dtype.real.itemsize:
        raise pickle.UnpicklingError(f"a scalar of dtype {dtype.real} has {len(data)} bytes")
    return np.frombuffer(data, dtype=dtype.real)[0]


def _encode(text: Any, encoding: Any = None, /) -> bytes:
    # How protocols 0 to 2 spell bytes. No other codec: some of them import modules or inflate their input.
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"the file asks for the codec {encoding!r}")
    return text.encode("latin-1")


def _bytes(*args: Any) -> bytes:
    if args:
        raise pickle.UnpicklingError("the file calls bytes with arguments")
    return b""


def _bytearray(*args: Any) -> bytearray:
    if not args:
        return bytearray()
    if isinstance(args[0], bytes):
        return bytearray(args[0])
    return bytearray(_encode(*args))


def _sequence(kind: type[Any]) -> Callable[..., Any]:
    def build(items: Any = (), /) -> Any:
        if not isinstance(items, (list, tuple)):
            raise pickle.UnpicklingError(f"the file builds a {kind.__name__} from a {type(items).__name__}")
        return kind(items)

    return build


def _complex(real: Any = 0.0, imag: Any = 0.0, /) -> complex:
    return complex(float(real), float(imag))


def _allowed() -> dict[tuple[str, str], _StandIn]:
    table: dict[str, Callable[..., Any]] = {"_codecs.encode": _encode, "numpy.dtype": _Dtype}
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray._reconstruct"] = _reconstruct
        table[f"{core}.multiarray.scalar"] = _scalar
        table[f"{core}.numeric._frombuffer"] = _frombuffer
    for builtins in ("builtins", "__builtin__"):  # protocols 0 to 2 keep Python 2's module name
        table[f"{builtins}.set"] = _sequence(set)
        table[f"{builtins}.frozenset"] = _sequence(frozenset)
        table[f"{builtins}.complex"] = _complex
        table[f"{builtins}.bytes"] = _bytes
        table[f"{builtins}.bytearray"] = _bytearray
    # An OrderedDict becomes a dict: order is kept, and there is no instance state for the file to set.
    table["collections.OrderedDict"] = _sequence(dict)
    named = {(name.rpartition(".")[0], name.rpartition(".")[2]): _StandIn(name, f) for name, f in table.items()}
    named["numpy", "ndarray"] = _NDARRAY
    return named


_ALLOWED = _allowed()


class _Refused(pickle.UnpicklingError):
    """The file names something that is not on the list."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None


def read_pickle(path: Path) -> dict[str, Any]:
    """Read a feature file of MMSA's format: a pickled dictionary of numpy arrays and plain containers.

    Numpy arrays of numbers, text and objects, numpy scalars, dict, list, tuple, set, text, bytes and numbers are
    read (pickle protocols 0 to 5, written by numpy 1 or 2); an OrderedDict becomes a dict. Anything else that the
    file names is refused before it is looked up, so nothing of it is imported or run.

    Raises
    ------
    DataError
        If the file cannot be read, is empty, cut short, not a pickle, no dictionary, or names anything else
        (the message gives the dotted name).
    """
    copyreg.clear_extension_cache()  # cached codes would pass by `find_class`
    head = b""
    try:
        with path.open("rb") as file:
            head = file.read(32)
            file.seek(0)
            if not head:
                raise DataError("the file is empty", where=str(path), hint="fetch or write it again")
            data = _plain(_Unpickler(file).load(), {})
    except DataError:
        raise
    except _Refused as error:
        raise DataError(f"the pickle names {error}, which is refused", where=str(path), hint=_HINT) from None
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror or error}", where=str(path)) from error
    except MemoryError as error:
        raise DataError(
            "the file asks for more memory than there is",
            where=str(path),
            hint="free some memory, or check that the file is not damaged",
        ) from error
    except Exception as error:  # a broken pickle can raise anything
        raise _damaged(path, head, error) from error
    if not isinstance(data, dict):
        raise DataError(
            f"the pickle holds a {type(data).__name__}, not a dictionary",
            where=str(path),
            hint="MMSA's format is a dictionary with the keys train, valid and test",
        )
    return data


def _damaged(path: Path, head: bytes, error: Exception) -> DataError:
    for magic, name in _OTHER_FORMATS:
        if head.startswith(magic):
            return DataError(f"not a pickle but {name}", where=str(path), hint=_HINT)
    reason = str(error).split("\n", maxsplit=1)[0][:200] or type(error).__name__
    if isinstance(error, EOFError) or "truncated" in reason:
        return DataError(
            f"the pickle is cut short ({reason})", where=str(path), hint="fetch it again and compare its SHA-256"
        )
    if not head.startswith(b"\x80"):
        return DataError(f"not a pickle ({reason})", where=str(path), hint=_HINT)
    return DataError(f"the pickle cannot be read ({reason})", where=str(path), hint=_HINT)


def _plain(value: Any, seen: dict[int, Any]) -> Any:
    """Put plain arrays and dtypes in the place of the stand-ins, in containers of any depth, in place."""
    if isinstance(value, _StandIn):
        raise _Refused(f"{value.name} as a value")
    if isinstance(value, _Dtype):
        return value.real
    if not isinstance(value, (dict, list, tuple, np.ndarray)):
        return value
    if id(value) in seen:
        return seen[id(value)][1]
    result: Any = value
    if isinstance(value, tuple):
        result = tuple([_plain(item, seen) for item in value])
    elif isinstance(value, np.ndarray):
        result = value.view(np.ndarray)
    seen[id(value)] = (value, result)  # holding `value` keeps its id from being given out again
    _plain_inside(result, seen)
    return result


def _plain_inside(result: Any, seen: dict[int, Any]) -> None:
    if isinstance(result, dict):
        for key, item in result.items():
            result[key] = _plain(item, seen)
    elif isinstance(result, list):
        result[:] = [_plain(item, seen) for item in result]
    elif isinstance(result, np.ndarray) and result.dtype.hasobject:
        for index, item in enumerate(list(result.flat)):
            result.flat[index] = _plain(item, seen)
