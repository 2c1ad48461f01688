"""The benchmark of the gate: its rule is the gate's, its patches break what they say, and the command runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.gate import breaks, simulation
from benchmarks.gate.__main__ import main
from benchmarks.gate.breaks import Verdict
from benchmarks.gate.patches import BREAKS
from benchmarks.gate.real import check, other_seeds
from benchmarks.gate.simulation import (
    DESIGNS,
    FAMILIES,
    NOISES,
    Alarms,
    Caught,
    Design,
    alarms,
    caught,
    p_worse,
)
from benchmarks.gate.table import alarm_table, breaks_table, power_table
from harness.statistics import drift

FIVE = Design(5, 5)


@pytest.mark.parametrize("design", [*DESIGNS[1:2], *DESIGNS[5:], Design(5, 1)])
@pytest.mark.parametrize("noise", ["normal", "t, 3 df", "1 seed in 20 collapses*"])
def test_the_rule_is_that_of_the_gate(design: Design, noise: str) -> None:
    rng = np.random.default_rng(3)
    paired = design.correlation is not None
    old, now = (NOISES[noise](rng, (30, count)) for count in (design.reference, design.new))
    expected = [drift(one, other, paired=paired).p_worse for one, other in zip(old, now, strict=True)]
    assert p_worse(old, now, paired=paired) == pytest.approx(expected, rel=1e-12)


def test_a_rule_of_its_own_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = simulation.p_worse
    monkeypatch.setattr(simulation, "p_worse", lambda old, now, *, paired: 1.001 * rule(old, now, paired=paired))
    with pytest.raises(RuntimeError, match="drift says"):
        alarms(FIVE, "normal", 1)


def test_runs_that_share_a_seed_are_as_alike_as_stated() -> None:
    for noise in ("normal", "Laplace"):
        drawn = simulation._drawn(Design(5, 5, 0.9), NOISES[noise], 20_000, np.random.default_rng(1))
        old, now = (one.ravel() for one in drawn)
        assert np.corrcoef(old, now)[0, 1] == pytest.approx(0.9, abs=0.01)
        assert old.std() == pytest.approx(NOISES[noise](np.random.default_rng(2), (100_000,)).std(), rel=0.02)


def test_alarms_are_counted_by_family() -> None:
    found = alarms(FIVE, "normal", 100)
    assert {family: of for family, (_, of) in found.counts.items()} == {1: 8400, 7: 1200, 84: 100}
    assert found.rate(1) == pytest.approx(0.01, abs=0.005)
    assert found == alarms(FIVE, "normal", 100)
    assert Alarms(FIVE, "normal", {1: (0, 100)}).error(1) > 0


def test_power_is_that_of_explain() -> None:
    found = caught(FIVE, 20_000)
    for family in FAMILIES:
        assert found.shifts[family] == pytest.approx(found.told[family], abs=5 * found.errors[family] + 0.05)
    assert found.shifts[1] < found.shifts[7] < found.shifts[84]


def test_seeds_are_new_in_every_repetition() -> None:
    seeds = [1111, 1112, 1113]
    used = [*seeds, *other_seeds(seeds, 0), *other_seeds(seeds, 1)]
    assert used == list(range(1111, 1120))


def test_holes_stop_the_benchmark() -> None:
    check([], interrupted=False)
    with pytest.raises(RuntimeError, match="1 runs failed, such as LF-DNN"):
        check(["LF-DNN"], interrupted=False)
    with pytest.raises(RuntimeError, match="interrupted"):
        check([], interrupted=True)


def test_tables_say_what_missed_its_aim() -> None:
    high = Alarms(FIVE, "normal", dict.fromkeys(FAMILIES, (20, 1000)))
    fair = Alarms(FIVE, "t, 3 df", dict.fromkeys(FAMILIES, (12, 1000)))
    text = alarm_table([high, fair])
    assert text.count("**2.000 ± 0.443**") == 3
    assert text.splitlines()[-1].count("| 1.200 ± 0.344") == 3
    errors = dict.fromkeys(FAMILIES, 0.01)
    rows = [Caught(FIVE, dict.fromkeys(FAMILIES, shift), errors, dict.fromkeys(FAMILIES, 2.5)) for shift in (2.5, 2.6)]
    assert [line.rpartition("2.5: ")[2] for line in power_table(rows).splitlines()[-2:]] == ["met |", "missed |"]


def test_verdicts_stand_beside_each_other() -> None:
    same = Verdict("rolled", "2 : 2, the same seeds", 1, {"RED": 3, "GREEN": 3}, {"MulT-fg": 3}, 6, 1e-5, 5, 2)
    other = Verdict("rolled", "2 : 2, other seeds", 0, {"AMBER": 2, "GREEN": 4}, {}, 6, 0.2)
    lines = breaks_table([same, other]).splitlines()
    assert lines[-1] == (
        "| predictions one utterance off | yes | 5 "
        "| **drift**: 3 red, 3 green; red: MulT-fg 3; 2 by the same predictions (p 1e-05) "
        "| pass: 2 amber, 4 green (p 0.2) |"
    )
    assert lines[2].endswith("| 2 : 2, the same seeds | 2 : 2, other seeds |")


def test_another_break_leaves_the_runs_of_a_break_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = Path(breaks.__file__).with_name("patches.py").read_text(encoding="utf-8")
    texts = {
        "as it is": source,
        "another break": source.replace(
            '    "nothing": Break', '    "new": Break("new", True, _nothing),\n    "nothing": Break'
        ),
        "another factor": source.replace("_rate(3.0)", "_rate(4.0)"),
        "another patch": source.replace("np.roll(pred, 1", "np.roll(pred, 2"),
    }
    found = {}
    for name, text in texts.items():
        (tmp_path / "patches.py").write_text(text, encoding="utf-8")
        monkeypatch.setattr(breaks, "__file__", str(tmp_path / "breaks.py"))
        found[name] = breaks._fingerprint("rate-higher")
    assert found["as it is"] == found["another break"]
    assert len(set(found.values())) == 3


def test_every_break_is_told_apart() -> None:
    assert len({one.title for one in BREAKS.values()}) == len(BREAKS)
    assert not BREAKS["nothing"].harmful
    assert sum(one.scoring for one in BREAKS.values()) == 3


def test_the_command_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--work", str(tmp_path), "--workers", "1"]) == 0
    text = capsys.readouterr().out
    assert text.count("False alarms under no change") == 1
    assert "1 of 1 gates pass" in text
    assert "2 gates which are not independent: 0 red, 0 cannot judge" in text
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in text.splitlines()}
    assert "| 0 | pass: 18 green (p 1)" in lines["nothing (control)"]
    assert "| 12 | " in lines["predictions one utterance off"]


def test_unknown_parts_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--parts", "simulation,nonsense"])
    assert "there is no part 'nonsense'" in capsys.readouterr().err
