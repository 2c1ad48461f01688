"""All levels of all blocks: looked up where they are known, else computed, on several cores."""

from __future__ import annotations

import functools
import math
import multiprocessing
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.comparison.blocks import Block, Draws, Found
from harness.comparison.intervals import interval_rows
from harness.comparison.items import second_rows
from harness.comparison.pairs import CellRuns
from harness.comparison.predictions import Arms, one_thread
from harness.comparison.printed import MARGINS
from harness.comparison.seeds import FIRST_COLUMNS, first_rows
from harness.memo import Memo
from harness.metrics import definition
from harness.results import Predictions, Results
from harness.sources import fingerprint_of
from harness.statistics import seeds_needed

__all__ = ["measured"]

_SMALL = 2_000_000
"""Runs times resamples below which starting processes (which import pandas and scipy) costs more than it gains."""


def measured(
    results: Results, asked: Sequence[Block], draws: Draws, *, items: bool, memo: Memo | None, workers: int
) -> Found:
    """Return the rows of all blocks, in their order.

    Parameters
    ----------
    results : Results
        Their predictions are read, block by block, as far as they are needed.
    asked : sequence of Block
    draws : Draws
    items : bool
        Whether to make the second-level tests.
    memo : Memo or None
        Where the rows of blocks are looked up and kept; of use only if `results` were collected with a memo too.
    workers : int
        Processes that compute; the rows are the same, bit for bit, whatever their number.
    """
    keys = [_key(block, results.hashes, draws, items=items) if memo is not None else None for block in asked]
    known: list[Found | None] = [_kept(memo, key) for key in keys]
    open_blocks = [block for block, found in zip(asked, known, strict=True) if found is None]
    computed = _computed(open_blocks, results, draws, items=items, workers=workers)
    whole = Found()
    for key, found in zip(keys, known, strict=True):
        if found is None:
            found = next(computed)
            if memo is not None and key is not None:
                memo.put(key, vars(found))
        whole.first.extend(found.first)
        whole.cells.extend(found.cells)
        whole.contrasts.extend(found.contrasts)
        whole.items.extend(found.items)
    return whole


def _kept(memo: Memo | None, key: str | None) -> Found | None:
    if memo is None or key is None or (kept := memo.get(key)) is None:
        return None
    return Found(**kept)


def _key(block: Block, hashes: Mapping[str, str], draws: Draws, *, items: bool) -> str | None:
    """Return what names the rows of a block by all that they are made of; None where a run's hash is not known."""
    if not all(run_id in hashes for run_id in block.run_ids):
        return None

    def told(cell: CellRuns | None) -> Any:
        if cell is None:
            return None
        runs = [[seed, run_id, hashes[run_id]] for seed, run_id in cell.runs.items()]
        values = {metric: [series.index.tolist(), series.tolist()] for metric, series in cell.values.items()}
        return [dict(cell.names), dict(cell.higher_is_better), values, runs]

    compared = [
        [told(pair.base), told(pair.other), pair.contrast, pair.base_name, pair.duplicate] for pair in block.pairs
    ]
    return Memo.key("block", _measured_by(), asdict(draws), items, [told(cell) for cell in block.cells], compared)


@functools.cache
def _measured_by() -> tuple[str, ...]:
    """Return what makes the rows from files of predictions: our code, and the libraries that read and compute."""
    here = Path(__file__).parents[1]
    code = [here / "metrics.py", here / "tallies.py", here / "results.py", here / "store" / "record.py"]
    code += [*(here / "statistics").glob("*.py"), *(here / "comparison").glob("*.py")]
    return (fingerprint_of(code, here), *map(metadata.version, ("numpy", "scipy", "pandas", "pyarrow")))


def _computed(asked: Sequence[Block], results: Results, draws: Draws, *, items: bool, workers: int) -> Iterator[Found]:
    compute = functools.partial(_compute, draws=draws, items=items)
    if workers < 2 or sum(len(block.run_ids) for block in asked) * draws.resamples < _SMALL:
        for block in asked:
            yield compute(block, results.predictions)
        return
    # Not by fork: the report may run threads, and torch does.
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting: deque[Future[Found]] = deque()
        for block in asked:
            # Read a few blocks ahead, not more: the predictions of a large suite need not lie in memory together.
            waiting.append(pool.submit(compute, block, _read(block, results.predictions)))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _read(block: Block, predictions: Mapping[str, Predictions]) -> dict[str, Predictions]:
    """Return the predictions of a block; equal ids are one array, which is then sent to the worker once."""
    read: dict[str, Predictions] = {}
    first: Predictions | None = None
    for run_id in block.run_ids:
        if (one := predictions.get(run_id)) is not None:
            first = first or one
            same = one.ids.tolist() == first.ids.tolist()
            read[run_id] = replace(one, ids=first.ids) if same else one
    return read


def _compute(block: Block, predictions: Mapping[str, Predictions], draws: Draws, *, items: bool) -> Found:
    first = [[*row, _needed(row, draws.alpha)] for pair in block.pairs for row in first_rows(pair, draws.alpha)]
    arms = Arms(predictions)
    with one_thread():
        cells, contrasts = interval_rows(block, arms, draws)
        return Found(first, cells, contrasts, second_rows(block, arms, draws) if items else [])


def _needed(row: Sequence[Any], alpha: float) -> float:
    """Return how many seeds a delta that counts asks for; NaN where no spread was seen."""
    metric, sd = (row[FIRST_COLUMNS.index(name)] for name in ("metric", "sd"))
    defined = definition(metric)
    if defined is None or not sd > 0:
        return math.nan
    return float(seeds_needed(MARGINS[defined.percent] / sd, alpha))
