"""What keeps the gate from judging, and what a reader should know besides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.gate.baseline import Baseline, cell_key
from harness.metrics import metrics_for
from harness.plan import Plan
from harness.results import Results
from harness.wording import counted, listing

__all__ = ["costs_lacking", "data_problems", "more", "notes_on", "run_problems", "sound", "undefined"]


def undefined(values: Mapping[int, float], whose: str) -> str:
    """Say which seeds have no value; empty where all have one."""
    seeds = [str(seed) for seed, value in sorted(values.items()) if not math.isfinite(value)]
    if not seeds:
        return ""
    named = f"{'seeds' if len(seeds) > 1 else 'seed'} {listing(seeds)}"
    return (
        f"not defined in {whose} for {named} (constant predictions, or no utterance that counts): look at these runs, "
        "or leave the metric out with gate.metrics"
    )


def data_problems(baseline: Baseline, plan: Plan) -> Iterator[str]:
    """Say where the data are not those of the baseline."""
    told = set()
    for cell in plan.cells:
        for run in cell.runs[:1]:
            name = f"{cell.dataset.name}/{cell.setting}"
            known = baseline.data.get(name)
            if known is not None and name not in told and known.sha256 != run.data.sha256:
                told.add(name)
                yield (
                    f"the data of {name} are not those of the baseline (SHA-256 {run.data.sha256[:12]}…, and "
                    f"{known.sha256[:12]}… there): use the same file, or write the baseline anew"
                )


def run_problems(results: Results) -> Iterator[str]:
    """Say which runs have failed or are not there."""
    for status, what in (("failed", "failed"), ("missing", "not there")):
        found = results.runs[results.runs["status"] == status]
        if len(found):
            first = found.iloc[0]
            reason = f" ({first['reason']})" if first["reason"] else ""
            advice = "see its log, then harness run --retry-failed" if status == "failed" else "run the suite"
            verb = "has" if len(found) == 1 and status == "failed" else "have" if status == "failed" else ""
            verb = verb or ("is" if len(found) == 1 else "are")
            yield f"{counted(len(found), 'run')} {verb} {what}, such as {first['label']}{reason}: {advice}"


def notes_on(baseline: Baseline, plan: Plan, exact: Sequence[str]) -> Iterator[str]:
    """Say what a reader should know that changes no verdict; `exact` is that of every row."""
    if any(data.synthetic for data in baseline.data.values()):
        yield "synthetic data: a gate on the code, which says nothing about real data"
    if len(baseline.seeds) < 5:
        yield f"the baseline has {counted(len(baseline.seeds), 'seed')}: it should have five at least, better ten"
    moved = list(exact).count("moved")
    alike = len(exact) - list(exact).count("")
    if not exact:
        pass
    elif alike:
        same = "all values are equal to the last bit" if not moved else f"{moved} of {alike} rows have moved"
        yield f"on the machine, versions and seeds of the baseline: {same}"
    else:
        yield "machine, versions or seeds are not those of the baseline: equality to the last bit is not asked for"
    unknown = set()
    for cell in plan.cells:
        place = (cell.dataset.name, cell.setting, cell.task, cell.model, cell.variant)
        if (known := baseline.cells.get(cell_key(place))) is not None:
            names = {metric.name for metric in metrics_for(cell.task, cell.dataset.convention)}
            unknown |= names - known.metrics.keys()
    if unknown:
        yield f"not in the baseline, and not judged: {listing(sorted(unknown))}"


def costs_lacking(baseline: Baseline, cells: Iterable[str]) -> Iterator[str]:
    """Say which of `cells` have no costs in the baseline, so that none are compared."""
    bare = [name for name in sorted(cells) if name in baseline.cells and baseline.cells[name].costs is None]
    if bare:
        yield f"the baseline has no costs of {bare[0]}{more(bare)}"


def sound(text: str) -> str:
    """Return a text without lone surrogates, which stand for bytes that are no UTF-8 and which no file takes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def more(names: Sequence[str]) -> str:
    """Say how many there are besides the first."""
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
