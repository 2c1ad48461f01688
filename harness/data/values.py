"""Single values and blocks of arrays, in the form that checks and conversion share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_text", "blocks", "non_finite", "numbers"]

_BLOCK_BYTES = 32 * 2**20


def blocks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (first row, float32 copy of some rows) of an array until its end: some 32 MiB at a time.

    The copies keep the memory order of the array, as ``array.astype(np.float32)`` does. No block has one row alone
    unless the array has: numpy sums an axis in another order once its neighbour has shrunk to 1, and the last bits
    of a mean over time would depend on where the blocks end.
    """
    rows = max(2, _BLOCK_BYTES // max(1, 4 * array[:1].size))
    starts = range(0, max(1, len(array) - 1), rows)  # a last row alone goes with the block before it
    for start, stop in zip(starts, [*starts[1:], len(array)], strict=True):
        with np.errstate(over="ignore", invalid="ignore"):  # too large for float32 becomes infinite, and is counted
            yield start, array[start:stop].astype(np.float32)


def as_text(item: Any) -> str:
    """Return an id or a raw text as text."""
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)


def numbers(value: Any) -> NDArray[np.float64] | None:
    """Return labels or step counts (one number a sample, each alone or in a list of one) as (N,), or None."""
    if isinstance(value, np.ndarray):
        if value.ndim == 0 or value.size != len(value):
            return None
        if value.dtype.kind in "fiub":
            return value.astype(np.float64).reshape(-1)
        value = value.reshape(-1).tolist()  # lists of numbers are pickled as objects by some tools
    if not isinstance(value, (list, tuple)):
        return None
    # Looked at one by one: numpy would unfold lists in lists first, and with shared parts those can be endless.
    items = [_single(item) for item in value]
    if not all(isinstance(item, (int, float, np.integer, np.floating, np.bool_)) for item in items):
        return None
    try:
        return np.array(items, dtype=np.float64)
    except OverflowError:  # a whole number beyond every float
        return None


def _single(item: Any) -> Any:
    if isinstance(item, (list, tuple)) and len(item) == 1:
        return item[0]
    return item.reshape(-1)[0] if isinstance(item, np.ndarray) and item.size == 1 else item


def non_finite(array: NDArray[Any]) -> tuple[int, int, int]:
    """Count NaN, -inf and +inf as they are in float32."""
    if array.dtype.kind in "iub":
        return 0, 0, 0
    counts = [0, 0, 0]
    tests: tuple[Callable[..., Any], ...] = (np.isnan, np.isneginf, np.isposinf)
    for _, block in blocks(array):
        if not np.isfinite(block).all():
            counts = [count + int(np.count_nonzero(test(block))) for count, test in zip(counts, tests, strict=True)]
    return counts[0], counts[1], counts[2]
