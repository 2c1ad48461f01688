"""The page about the statistics, and the reader of the simulated figures that it shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.reports import explained
from harness.reports.calibration import CALIBRATION, Calibration, load
from harness.reports.pages import page
from harness.reports.simulated import simulated
from tests.reports.test_render import NOW

STUDY = {"items": 457, "seeds": 5, "seed_sd": 1.2}


def rate(share: float, of: int = 1000) -> dict[str, Any]:
    return {"count": round(share * of), "of": of, "rate": share, "low": max(0.0, share - 0.01), "high": share + 0.01}


def figures() -> dict[str, Any]:
    """Made-up figures in the form that the benchmark writes."""
    noise = {"noise": "normal", "profile": "kept", "shared": 0.0}
    families = noise | {
        "promised": True,
        "unadjusted": rate(0.5),
        "single": rate(0.05),
        "delta_sd": 0.01,
        "detectable": 0.02,
    }
    covered = {"of": "mean", "promised": True, "noise_ratio": 0.6, "width": 0.05, "metric": "Acc-2"}
    method = {"measures": "false positives", "seeds": 5, "items": 457, "seed_sd": 1.2}
    over = {"measures": "coverage", "items": None, "seed_sd": None, "seeds": 5}
    return {
        "schema": 1,
        "level": 0.99,
        "settings": {"alpha": 0.05, "models": 14, "resamples": 1000, "accuracy": 0.8, "root_seed": 1},
        "stars": [
            STUDY | families | {"metric": "Acc-2", "family": rate(0.041)},
            STUDY | families | {"metric": "MAE", "family": rate(0.048)},
            STUDY | families | {"metric": "any", "family": rate(0.14), "promised": False, "single": None},
        ],
        "coverage": [
            STUDY | covered | {"shown": rate(0.961), "percentiles": 0.95, "t": 0.6, "by_t": 0.1},
            STUDY
            | covered
            | {"seed_sd": 5.0, "promised": False, "of": "difference, profile own"}
            | {"shown": rate(0.952), "percentiles": 0.88, "t": 0.94, "by_t": 0.9},
        ],
        "methods": [
            method | {"method": "McNemar on one seed", "ours": False, "rate": rate(0.29)},
            method | {"method": "paired t over seeds", "ours": True, "rate": rate(0.055)},
            over | {"method": "t over seeds", "ours": True, "rate": rate(0.95)},
            over | {"method": "percentile bootstrap over seeds", "ours": False, "rate": rate(0.83)},
        ],
        "power": [
            {
                "seeds": n,
                "effect": effect,
                "detectable": effect == 1.1,
                "single": rate(found),
                "daggers": rate(found / 2),
            }
            for n in (3, 5)
            for effect, found in ((0.5, n / 20), (1.0, n / 10), (1.1, 0.8))
        ],
        "floors": [
            {"seeds": 5, "sign_flip": 0.0625, "wilcoxon": 0.0625, "detectable": 1.682, "detectable_alone": 3.44}
        ],
    }


def written(folder: Path, found: object) -> Path:
    path = folder / "calibration.json"
    path.write_text(json.dumps(found), encoding="utf-8")
    return path


def read(folder: Path) -> Calibration:
    found = load(written(folder, figures()))
    assert found is not None
    return found


def test_no_figures_are_no_error(tmp_path: Path) -> None:
    assert load(tmp_path / "nothing.json") is None


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda found: found.pop("stars"), "stars: required"),
        (lambda found: found.update(schema=2), "schema"),
        (lambda found: found["coverage"][0].pop("shown"), "coverage.0.shown: required"),
        (lambda found: found["power"][0]["single"].update(rate=1.5), "power.0.single.rate"),
        (lambda found: found.update(floors=[]), "floors"),
    ],
)
def test_figures_of_another_form_are_refused_by_field(damage: Any, told: str, tmp_path: Path) -> None:
    found = figures()
    damage(found)
    with pytest.raises(InputError) as error:
        load(written(tmp_path, found))
    assert told in str(error.value)
    assert "calibration.json" in error.value.where


def test_a_broken_file_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="cannot read the simulated figures"):
        load(path)
    with pytest.raises(InputError, match="not a mapping"):
        load(written(tmp_path, []))


def test_families_show_the_range_over_metrics_and_leave_out_any(tmp_path: Path) -> None:
    [line] = simulated(read(tmp_path)).families.lines
    assert line.cells[-3:] == ("4.1 to 4.8", "50.0", "5.0")
    assert line.holds


def test_coverage_shows_how_often_t_takes_over_and_what_is_promised(tmp_path: Path) -> None:
    sheet = simulated(read(tmp_path)).coverage
    assert [(line.name, line.cells[2:], line.holds) for line in sheet.lines] == [
        ("457, 1.2", ("96.1", "10.0", "95.0", "60.0"), True),
        ("457, 5", ("95.2", "90.0", "88.0", "94.0"), False),
    ]
    assert "1,000 repetitions" in sheet.about


def test_our_methods_stand_first_and_are_set_off(tmp_path: Path) -> None:
    found = simulated(read(tmp_path))
    assert [(line.name, line.holds) for line in found.methods.lines] == [
        ("paired t over seeds", True),
        ("McNemar on one seed", False),
    ]
    assert [line.name for line in found.over_seeds.lines] == ["t over seeds", "percentile bootstrap over seeds"]


def test_the_page_shows_all_figures_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explained, "load", lambda: read(tmp_path))
    shown = page("statistics.html", statistics=explained.explained.__wrapped__(), now=NOW)
    for name in ("families", "coverage", "over-seeds", "methods", "floors"):
        assert shown.count(f'id="statistics-{name}"') == 1
    assert shown.count("<svg") == 2
    assert "url(" not in shown
    assert "were not made" not in shown


def test_without_figures_the_page_says_how_to_make_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explained, "load", lambda: None)
    shown = page("statistics.html", statistics=explained.explained.__wrapped__(), now=NOW)
    assert "python -m benchmarks.calibration" in shown
    assert "<svg" not in shown


@pytest.mark.skipif(not CALIBRATION.exists(), reason="the simulated figures are not in this checkout")
def test_the_committed_figures_fit() -> None:
    found = load()
    assert found is not None
    assert len(simulated(found).power) == 2
