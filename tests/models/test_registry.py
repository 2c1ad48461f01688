"""Names, hyper-parameters and their overrides, against MMSA's own configuration."""

from __future__ import annotations

from typing import Any

import pytest
from MMSA import get_config_regression

from harness import models
from harness.errors import InputError
from tests.oracle import KEYS


@pytest.mark.parametrize("column", ["mosi", "mosei", "sims"])
@pytest.mark.parametrize("model", sorted(KEYS))
def test_defaults_are_mmsas(model: str, column: str) -> None:
    theirs = get_config_regression(KEYS[model], column)
    ours = models.resolve_hyper(model, column, {})
    assert ours
    assert {key: theirs[key] for key in ours} == ours
    wants_aligned = theirs["need_data_aligned"]
    assert models.entry(model).prefers == ("aligned" if wants_aligned else "unaligned")


def test_overrides_reach_the_right_models() -> None:
    overrides: dict[str, dict[str, Any]] = {"*": {"batch_size": 8, "rank": 5}, "MFN": {"NN1Config": {"drop": 0.1}}}
    mfn = models.resolve_hyper("MFN", "sims", overrides)
    assert mfn["batch_size"] == 8
    assert mfn["NN1Config"] == {"drop": 0.1, "shapes": 128}
    assert "rank" not in mfn
    assert models.resolve_hyper("LMF", "sims", overrides)["rank"] == 5


def test_overrides_leave_the_defaults_alone() -> None:
    models.resolve_hyper("MFN", "sims", {"MFN": {"NN1Config": {"drop": 0.9}}})["NN1Config"]["shapes"] = 1
    assert models.resolve_hyper("MFN", "sims", {})["NN1Config"] == {"drop": 0.2, "shapes": 128}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"LMF": {"rnk": 2}}, "did you mean 'rank'"),
        ({"LMF": {"rank": "two"}}, "expected something like 4"),
        ({"LMF": {"rank": True}}, "expected something like"),
        ({"LMF": {"rank": 2.5}}, "expected something like"),
        ({"LMF": {"need_normalized": 1}}, "expected something like True"),
        ({"LMF": {"hidden_dims": [1, 2]}}, "expected something like"),
        ({"*": {"batch_size": [1]}}, "expected something like"),
    ],
)
def test_wrong_overrides_are_refused(overrides: dict[str, dict[str, object]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        models.resolve_hyper("LMF", "sims", overrides)


def test_unknown_part_of_a_group_is_refused() -> None:
    with pytest.raises(InputError, match="unknown part 'dorp'"):
        models.resolve_hyper("MFN", "sims", {"MFN": {"NN1Config": {"dorp": 0.1}}})


def test_unknown_model_names_a_near_one() -> None:
    with pytest.raises(InputError, match="did you mean 'LF-DNN'"):
        models.entry("lf_dnn")
