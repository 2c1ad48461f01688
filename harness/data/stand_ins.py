"""What a feature file's pickle may name and call: stand-ins for numpy's constructors and plain containers.

Each is written here rather than numpy's own constructor: numpy's dtype and array constructors trust what the pickle
tells them (a forged dtype state can pass raw bytes off as object pointers), so the stand-ins check it first. A
stand-in cannot be altered by the file either, as a Python function could be through its ``__defaults__``.
"""

from __future__ import annotations

import math
import pickle
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import numpy as np

__all__ = ["ALLOWED", "Dtype", "StandIn", "checked_key"]

_DTYPE_CODE = re.compile(r"[|<>=]?(?:b1|\?|[iu][1248]|f[248]|O8?|[US][0-9]{1,7})")
_MOST_AXES = 64  # as in numpy
_LONGEST_KEY = 16
_LAST_CODE_POINT = 0x10FFFF


class StandIn:
    """Something a pickle may name and call, and nothing else: no attribute of it can be set."""

    __slots__ = ("_function", "name")
    __hash__ = None  # type: ignore[assignment]  # never a dictionary key, so that none can hide in one

    _function: Callable[..., Any]
    name: str

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "_function", function)

    def __call__(self, *args: Any) -> Any:
        """Do what it stands in for, or refuse."""
        return self._function(*args)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise pickle.UnpicklingError(f"the file tries to alter {self.name}")


class Dtype:
    """A dtype as the pickle describes it, held back until it has been checked."""

    __slots__ = ("real",)
    __hash__ = None  # type: ignore[assignment]

    real: np.dtype[Any]

    def __init__(self, code: Any, *_flags: Any) -> None:
        if not isinstance(code, str) or not _DTYPE_CODE.fullmatch(code):
            raise pickle.UnpicklingError(f"arrays of dtype {_shown(code)} are not accepted")
        self.real = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        # The byte order is all that matters here: names, fields and sub-arrays belong to structured dtypes, and
        # sizes and flags follow from the code. Taking them from the file is what makes a forged dtype dangerous.
        if not isinstance(state, tuple) or len(state) < 5 or state[2:5] != (None, None, None):
            raise pickle.UnpicklingError("structured arrays are not accepted")
        if state[1] not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError(f"unknown byte order {_shown(state[1])}")
        self.real = self.real.newbyteorder(state[1])


class Array(np.ndarray[Any, Any]):
    """An array under construction: what is to be in it is checked before numpy sees it.

    Arrays in arrays in arrays are no danger while they are of this class: Python frees instances of a class written in
    Python step by step, where numpy's own arrays overflow the stack of C.
    """

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array's state is not one that numpy writes")
        version, shape, dtype, fortran, data = state
        if not isinstance(dtype, Dtype):
            raise pickle.UnpicklingError("an array without a dtype")
        count = math.prod(_shape(shape))
        if dtype.real.hasobject:
            right = isinstance(data, list) and len(data) == count
        else:
            right = isinstance(data, bytes) and len(data) == count * dtype.real.itemsize
        if not right:
            raise pickle.UnpicklingError(f"an array of shape {shape} and dtype {dtype.real} has other data than that")
        _check_items(dtype.real, count, data)
        checked: Any = (int(version), shape, dtype.real, bool(fortran), data)
        super().__setstate__(checked)

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise pickle.UnpicklingError("the file assigns to parts of an array")


def _check_items(dtype: np.dtype[Any], count: int, data: Any) -> None:
    """Refuse what numpy takes and cannot handle."""
    if count and dtype.itemsize == 0:
        raise pickle.UnpicklingError(f"{count} items of no size: such an array has no end that its data would set")
    if dtype.kind == "U" and count:
        points = np.frombuffer(data, np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if int(points.max()) > _LAST_CODE_POINT:
            raise pickle.UnpicklingError("an array of text has characters that do not exist")


def _shape(value: Any) -> tuple[int, ...]:
    sizes = value if isinstance(value, tuple) and len(value) <= _MOST_AXES else (None,)
    if not all(type(n) is int and 0 <= n <= sys.maxsize for n in sizes):
        raise pickle.UnpicklingError(f"{_shown(value)} is no array shape")
    return sizes


def _shown(value: Any) -> str:
    """Return text for a message. Not the repr of containers: with shared parts it can be longer than any memory."""
    return repr(value[:40]) if isinstance(value, (str, bytes)) else f"a {type(value).__name__}"


def checked_key(value: Any) -> Any:
    """Check a dictionary's key or a set's item.

    Tuples are hashed by recursion in C, each time and without a limit; sets within sets can take for ever to compare.
    """
    plain = not isinstance(value, frozenset)
    if isinstance(value, tuple):
        plain = len(value) <= _LONGEST_KEY and not any(isinstance(item, (tuple, frozenset)) for item in value)
    if not plain:
        raise pickle.UnpicklingError("a key or an item of a set is a nested or long container")
    return value


def _no_call(*_args: Any) -> NoReturn:
    raise pickle.UnpicklingError("the file calls numpy.ndarray, which no array needs")


_NDARRAY = StandIn("numpy.ndarray", _no_call)


def _reconstruct(kind: Any, *_start: Any) -> Array:
    if kind is not _NDARRAY:
        raise pickle.UnpicklingError("only plain numpy arrays are accepted")
    return Array((0,), np.int8)


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None, /) -> Any:
    if not isinstance(data, (bytes, bytearray)) or not isinstance(dtype, Dtype) or order not in ("C", "F", "K", "A"):
        raise pickle.UnpicklingError("an array's buffer is not one that numpy writes")
    _check_items(dtype.real, math.prod(_shape(shape)), data)
    flat = np.frombuffer(data, dtype=dtype.real) if data else np.empty(0, dtype.real)
    if order == "K" and axis_order is not None:
        return flat.reshape(_shape(shape)).transpose(_shape(axis_order)).view(Array)
    return flat.reshape(_shape(shape), order="F" if order == "F" else "C").view(Array)


def _scalar(dtype: Any, data: Any, /) -> Any:
    if not isinstance(dtype, Dtype) or dtype.real.hasobject or not isinstance(data, bytes):
        raise pickle.UnpicklingError("a scalar is not one that numpy writes")
    if dtype.real.itemsize == 0:
        return dtype.real.type()
    if len(data) != dtype.real.itemsize:
        raise pickle.UnpicklingError(f"a scalar of dtype {dtype.real} has {len(data)} bytes")
    _check_items(dtype.real, 1, data)
    return np.frombuffer(data, dtype=dtype.real)[0]


def _encode(text: Any, encoding: Any = None, /) -> bytes:
    # How protocols 0 to 2 spell bytes. No other codec: some of them import modules or inflate their input.
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"the file asks for the codec {_shown(encoding)}")
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


def _set_of(kind: Callable[[Iterable[Any]], Any]) -> Callable[..., Any]:
    def build(items: Any = (), /) -> Any:
        if not isinstance(items, (list, tuple)):
            raise pickle.UnpicklingError(f"the file builds a set from {_shown(items)}")
        return kind(checked_key(item) for item in items)

    return build


def _dict(pairs: Any = (), /) -> dict[Any, Any]:
    if not isinstance(pairs, (list, tuple)) or not all(isinstance(p, (list, tuple)) and len(p) == 2 for p in pairs):
        raise pickle.UnpicklingError("the file builds a dictionary from something else than pairs")
    return {checked_key(key): value for key, value in pairs}


def _complex(real: Any = 0.0, imag: Any = 0.0, /) -> complex:
    return complex(float(real), float(imag))


def _allowed() -> dict[tuple[str, str], StandIn]:
    table: dict[str, Callable[..., Any]] = {"_codecs.encode": _encode, "numpy.dtype": Dtype}
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray._reconstruct"] = _reconstruct
        table[f"{core}.multiarray.scalar"] = _scalar
        table[f"{core}.numeric._frombuffer"] = _frombuffer
    for builtins in ("builtins", "__builtin__"):  # protocols 0 to 2 keep Python 2's module name
        table[f"{builtins}.set"] = _set_of(set)
        table[f"{builtins}.frozenset"] = _set_of(frozenset)
        table[f"{builtins}.complex"] = _complex
        table[f"{builtins}.bytes"] = _bytes
        table[f"{builtins}.bytearray"] = _bytearray
    # An OrderedDict becomes a dict: order is kept, and there is no instance state for the file to set.
    table["collections.OrderedDict"] = _dict
    named = {(name.rpartition(".")[0], name.rpartition(".")[2]): StandIn(name, f) for name, f in table.items()}
    named["numpy", "ndarray"] = _NDARRAY
    return named


ALLOWED = _allowed()
