"""The figures as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.throughput.memory import Peak
from benchmarks.throughput.overhead import Overhead
from benchmarks.throughput.report import Report
from benchmarks.throughput.summary import ModelTimes, Spread
from benchmarks.throughput.timing import Timing

__all__ = ["as_table"]

_TARGET = 0.5
_AT = (5, 10, 20)


def as_table(report: Report) -> str:
    """Return all parts that were measured, as tables of fixed width."""
    head = f"{report.date}, {report.cores} core(s), torch {report.torch}, MMSA {report.mmsa}"
    parts = [f"{head}; quick, so no figure here means anything" if report.quick else head]
    if report.timing is not None:
        parts += [_times(report.timing), _ratios(report.timing), _rest(report.timing)]
    if report.memory:
        parts.append(_memory(report.memory))
    if report.overhead is not None:
        parts.append(_overhead(report.overhead))
    return "\n\n".join(parts)


def _times(timing: Timing) -> str:
    rows = [
        [
            times.model,
            str(times.runs),
            "/".join(map(str, times.epochs)),
            *(_spread(side.seconds, 1) for side in (times.mmsa, times.cold, times.warm)),
            _spread(times.cold_ratio.ratio, 2),
            _spread(times.warm_ratio.ratio, 2),
            _verdict(times.warm_ratio.ratio) if times.target else "none",
        ]
        for times in timing.models
    ]
    head = ["model", "runs", "epochs", "MMSA s", "cold s", "warm s", "cold/MMSA", "warm/MMSA", "aim 0.50"]
    title = (
        "1. The same runs, predictions equal to the bit: wall time, imports included; "
        f"{timing.workers} process(es) each; median (lowest-highest)"
    )
    starts = (
        f"imports: MMSA {_spread(timing.start_mmsa, 1)} s, harness {_spread(timing.start_harness, 1)} s, once a command"
    )
    sets = "; ".join(f"{times.model}: {_terms(times)}" for times in timing.models)
    return f"{title}\n{_grid(head, rows)}\n{starts}\n{sets}"


def _terms(times: ModelTimes) -> str:
    patience = "MMSA's patience" if times.early_stop is None else f"patience {times.early_stop}"
    return f"{times.data}, {patience}, {times.repetitions} repetition(s)"


def _ratios(timing: Timing) -> str:
    rows = [
        [
            times.model,
            *(_spread(side.started_seconds, 1) for side in (times.mmsa, times.cold, times.warm)),
            _spread(times.cold_ratio.started, 2),
            _spread(times.warm_ratio.started, 2),
            _spread(times.warm_ratio.started_without_sleep, 2),
        ]
        for times in timing.models
    ]
    head = ["model", "MMSA s", "cold s", "warm s", "cold/MMSA", "warm/MMSA", "warm/MMSA, its sleep left out"]
    return f"   The same without imports\n{_grid(head, rows)}"


def _rest(timing: Timing) -> str:
    rows = []
    for times in timing.models:
        mmsa, warm = times.mmsa, times.warm
        row = [times.model, *(_percent(side.not_training) for side in (mmsa, times.cold, warm))]
        row += [f"{mmsa.per_epoch:.2f}", f"{warm.per_epoch:.2f}", f"{warm.per_epoch / mmsa.per_epoch:.2f}"]
        row += [f"{mmsa.besides:.2f}", f"{warm.besides:.2f}"]
        row += [f"{warm.seconds_at(epochs) / mmsa.seconds_at(epochs):.2f}" for epochs in _AT]
        rows.append(row)
    head = ["model", "MMSA", "cold", "warm", "s/epoch MMSA", "warm", "ratio", "s/run besides MMSA", "warm"]
    head += [f"ratio at {epochs} epochs" for epochs in _AT]
    title = (
        "   Share of time that is not training (imports left out); seconds an epoch; seconds a run besides; "
        "what these two make of a run of so many epochs"
    )
    return f"{title}\n{_grid(head, rows)}"


def _memory(peaks: Sequence[Peak]) -> str:
    rows = []
    for peak in peaks:
        figures = [f"{size / 2**20:.0f}" for size in (peak.pss, peak.uss, peak.idle_pss)]
        rows.append([peak.side, str(peak.workers), *(figures if not peak.skipped else [f"({peak.skipped})", "", ""])])
    head = ["side", "at once", "PSS MiB", "USS MiB", "before the runs"]
    return f"2. Peak memory, all processes of a side\n{_grid(head, rows)}"


def _overhead(overhead: Overhead) -> str:
    row = [
        ", ".join(overhead.models),
        str(overhead.runs),
        _spread(overhead.bare, 2),
        _spread(overhead.harness, 2),
        _spread(overhead.per_run, 2),
        _spread(overhead.ratio, 2),
    ]
    head = ["originals of suite quick", "runs", "bare loop s", "harness s, 1 worker", "more a run s", "harness / bare"]
    return f"3. What the harness adds to the bare loop, imports left out\n{_grid(head, [row])}"


def _spread(figure: Spread, digits: int) -> str:
    if figure.low == figure.high:
        return f"{figure.median:.{digits}f}"
    return f"{figure.median:.{digits}f} ({figure.low:.{digits}f}-{figure.high:.{digits}f})"


def _percent(figure: Spread) -> str:
    return f"{_spread(Spread(*(100 * value for value in (figure.median, figure.low, figure.high))), 0)} %"


def _verdict(ratio: Spread) -> str:
    return "met" if ratio.median <= _TARGET else "missed"


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
