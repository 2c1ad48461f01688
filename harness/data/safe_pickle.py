"""MMSA's pickle format, read without running anything that the file says.

A pickle is a program. This reader lets it name a fixed list of things only, and each of them is a stand-in (see
`harness.data.stand_ins`).

The machine that runs the program is the one in Python, not its twin in C: its steps can be replaced by stricter ones,
and its memo is a dictionary rather than a table as long as the largest index that the file cares to name. That costs
microseconds a step, and an array is one step however large (a file of 177 MB has 5 300 steps: 0.02 s more).
"""

from __future__ import annotations

import copyreg
import os
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from harness.data.stand_ins import ALLOWED, Dtype, StandIn, checked_key
from harness.errors import DataError

__all__ = ["read_pickle"]

_NAME = re.compile(r"[A-Za-z_][\w.]*")
_HINT = "a feature file holds numpy arrays, numbers, text and plain containers; write it again with nothing else in it"
_CUT_SHORT = ("pickle exhausted before end of frame", "index out of range")  # how Python says that bytes are missing
_OTHER_FORMATS = (
    (b"PK\x03\x04", "a zip archive (an .npz file or a torch checkpoint?)"),
    (b"\x1f\x8b", "gzip data: unpack it first"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a .npy file"),
    (b"version https://git-lfs", "a Git LFS pointer: the real file was not fetched"),
    (b"<", "a web page or XML"),
)


class _Refused(pickle.UnpicklingError):
    """The file names something that is not on the list."""


class _Unpickler(pickle._Unpickler):  # noqa: SLF001 -- the machine in Python, known under no other name
    """Runs the program; names come from the list above, keys are checked before they are hashed."""

    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    readinto: Callable[[bytearray], int]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, file: Any, size: int) -> None:
        super().__init__(file)
        self.size = size

    def find_class(self, module: str, name: str, /) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            if not _NAME.fullmatch(f"{module}.{name}"):
                raise pickle.UnpicklingError("it names something that is no name") from None
            raise _Refused(f"{module}.{name}") from None

    def set_item(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self.stack[-1][checked_key(key)] = value

    def set_items(self) -> None:
        items = self.pop_mark()
        target = self.stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    def make_dict(self) -> None:
        items = self.pop_mark()
        self.append({checked_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)})

    def add_items(self) -> None:
        items = self.pop_mark()
        if not isinstance(self.stack[-1], set):
            raise pickle.UnpicklingError("items are added to something else than a set")
        self.stack[-1].update(checked_key(item) for item in items)

    def make_frozenset(self) -> None:
        items = self.pop_mark()
        self.append(frozenset(checked_key(item) for item in items))

    def make_bytearray(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        if length > self.size:  # a bytearray is filled with zeros first, however long it is said to be
            raise EOFError
        data = bytearray(length)
        self.readinto(data)
        self.append(data)

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **pickle._Unpickler.dispatch,  # noqa: SLF001
        pickle.SETITEM[0]: set_item,
        pickle.SETITEMS[0]: set_items,
        pickle.DICT[0]: make_dict,
        pickle.ADDITEMS[0]: add_items,
        pickle.FROZENSET[0]: make_frozenset,
        pickle.BYTEARRAY8[0]: make_bytearray,
    }


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
            data = _plain(_Unpickler(file, os.fstat(file.fileno()).st_size).load(), {})
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
    if isinstance(error, (EOFError, struct.error)) or reason in _CUT_SHORT:
        return DataError("the pickle is cut short", where=str(path), hint="fetch it again and compare its SHA-256")
    if isinstance(error, KeyError):
        reason = "it has a step that no pickle has"
    if not head.startswith(b"\x80"):
        return DataError(f"not a pickle ({reason})", where=str(path), hint=_HINT)
    return DataError(f"the pickle cannot be read ({reason})", where=str(path), hint=_HINT)


def _plain(value: Any, seen: dict[int, Any]) -> Any:
    """Put plain arrays and dtypes in the place of the stand-ins, in containers of any depth, in place."""
    if isinstance(value, StandIn):
        raise _Refused(f"{value.name} as a value")
    if isinstance(value, Dtype):
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
