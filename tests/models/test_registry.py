"""Names, hyper-parameters and their overrides, against MMSA's own configuration."""

from __future__ import annotations

from typing import Any

import pytest
from MMSA import get_config_regression

from harness import models
from harness.errors import InputError
from harness.plan import load_datasets, make_plan
from harness.suites import load_suite
from tests.oracle import KEYS


@pytest.mark.parametrize("column", ["mosi", "mosei", "sims"])
@pytest.mark.parametrize("model", sorted(KEYS))
def test_defaults_are_mmsas(model: str, column: str) -> None:
    if models.entry(model).unimodal_labels and column != "sims":
        assert models.entry(model).defaults(column) is None
        return
    theirs = get_config_regression(KEYS[model], column)
    ours = models.resolve_hyper(model, column, {})
    assert ours
    assert "need_data_aligned" in ours
    assert {key: theirs[key] for key in ours} == ours


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


@pytest.mark.parametrize("key", ["learning_rate_bert", "learning_rate_other"])
def test_rates_of_groups_are_checked(key: str) -> None:
    with pytest.raises(InputError, match="more than 0"):
        models.resolve_hyper("Self-MM", "sims", {"Self-MM": {key: -0.05}})


@pytest.mark.parametrize(
    ("model", "key", "value", "message"),
    [
        ("Self-MM", "weight_decay_audio", -0.1, "0 or more"),
        ("Self-MM", "H", -0.5, "more than 0"),
        ("Self-MM", "use_bert", False, "use_bert cannot be changed"),
        ("Self-MM", "pretrained", "other", "pretrained cannot be changed"),
        ("Self-MM", "a_lstm_layers", 2, "a_lstm_layers cannot be changed"),
        ("Self-MM", "post_text_dim", 0, "1 or more"),
        ("MTFN", "M", -0.5, "0 or more"),
        ("MTFN", "text_weight_decay", -1.0, "0 or more"),
        ("MISA", "diff_weight", -0.5, "0 or more"),
        ("MISA", "grad_clip", -0.5, "more than 0, or -1 for none"),
        ("MISA", "grad_clip", 0.0, "more than 0, or -1 for none"),
        ("MISA", "use_cmd_sim", False, "cannot run in MMSA's trainer either"),
        ("MISA", "transformers", "roberta", "transformers cannot be changed"),
        ("LF-DNN", "use_bert", True, "use_bert cannot be changed"),
        ("MulT", "conv1d_kernel_size_a", 0, "1 or more"),
        ("TMT", "alpha", -1.0, "0 or more"),
        ("TMT", "warm_up_epochs", -1, "0 or more"),
        ("ALMT", "token_count", 0, "1 or more"),
        ("ALMT", "embedding_depth", 0, "1 or more"),
        ("TETFN", "nheads", 0, "1 or more"),
    ],
)
def test_overrides_that_would_fail_late(model: str, key: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        models.resolve_hyper(model, "sims", {model: {key: value}})
    assert caught.value.where == f"hyper.{model}.{key}"


@pytest.mark.parametrize("column", ["mosi", "mosei", "sims"])
@pytest.mark.parametrize("name", models.names())
def test_defaults_are_in_their_own_ranges(name: str, column: str) -> None:
    defaults = models.entry(name).defaults(column)
    if defaults is not None:
        assert models.resolve_hyper(name, column, {name: defaults}) == defaults


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"LMF": {"rnk": 2}}, "did you mean 'rank'"),
        ({"LMF": {"rank": "two"}}, "expected something like 4"),
        ({"LMF": {"rank": True}}, "expected something like"),
        ({"LMF": {"rank": 2.5}}, "expected something like"),
        ({"LMF": {"need_normalized": 1}}, "expected something like True"),
        ({"LMF": {"need_normalized": False}}, "need_normalized cannot be changed from True to False"),
        ({"LMF": {"hidden_dims": [1, 0, 3]}}, "hidden_dims must be 1 or more"),
        ({"LMF": {"factor_lr": -0.1}}, "more than 0"),
        ({"LMF": {"hidden_dims": [1, 2]}}, "expected something like"),
        ({"*": {"batch_size": [1]}}, "expected something like"),
        ({"LMF": {"learning_rate": "1e-3"}}, "write 0.001 or 1.0e-3"),
        ({"LMF": {"learning_rate": float("nan")}}, "not a finite number"),
        ({"LMF": {"learning_rate": 0}}, "must be more than 0"),
        ({"LMF": {"batch_size": 0}}, "must be 1 or more"),
        ({"*": {"early_stop": -3}}, "must be 1 or more"),
        ({"LMF": {"weight_decay": -0.1}}, "must be 0 or more"),
        ({"LMF": {"dropouts": [0.1, 0.1, 0.1, 1.5]}}, "must be between 0 and 1"),
    ],
)
def test_wrong_overrides_are_refused(overrides: dict[str, dict[str, object]], message: str) -> None:
    with pytest.raises(InputError) as caught:
        models.resolve_hyper("LMF", "sims", overrides)
    assert message in str(caught.value)


def test_unknown_part_of_a_group_is_refused() -> None:
    with pytest.raises(InputError, match="unknown part 'dorp'"):
        models.resolve_hyper("MFN", "sims", {"MFN": {"NN1Config": {"dorp": 0.1}}})


def test_unknown_model_names_a_near_one() -> None:
    with pytest.raises(InputError, match="did you mean 'LF-DNN'"):
        models.entry("lf_dnn")


def test_a_whole_number_becomes_the_fraction_it_stands_for() -> None:
    resolved = models.resolve_hyper("LMF", "sims", {"LMF": {"weight_decay": 0, "dropouts": [0, 0, 0.1, 1]}})
    assert repr(resolved["weight_decay"]) == "0.0"
    assert repr(resolved["dropouts"]) == "[0.0, 0.0, 0.1, 1.0]"
    assert repr(models.resolve_hyper("LMF", "sims", {"LMF": {"rank": 5}})["rank"]) == "5"


def test_later_sections_win_and_data_sets_are_addressed() -> None:
    overrides = {
        "MulT@mosei": {"patience": 4},
        "MulT": {"patience": 3},
        "*@mosei": {"patience": 2},
        "*": {"patience": 1},
    }

    def patience(model: str, dataset: str, sections: list[str]) -> int:
        chosen = {name: overrides[name] for name in sections}
        return int(models.resolve_hyper(model, "mosei", chosen, dataset=dataset)["patience"])

    assert patience("MulT", "mosei", list(overrides)) == 4
    assert patience("MulT", "other", list(overrides)) == 3
    assert patience("MulT", "mosei", ["*@mosei", "*"]) == 2
    assert patience("MulT", "other", ["*@mosei", "*"]) == 1


BOTH = ("LF-DNN", "TFN", "LMF", "MFN", "Graph-MFN", "MulT")
# Which models each results table prints, typed from the paper, and the last column of Table 4.
TABLES: dict[tuple[str, str], tuple[str, ...]] = {
    ("mosei", "regression"): (*BOTH, "MISA", "Self-MM", "TETFN", "ALMT", "TMT"),
    ("sims", "regression"): (*BOTH, "Self-MM", "TETFN", "ALMT", "TMT"),
    ("mosei", "classification"): (*BOTH, "MISA"),
    ("sims", "classification"): (*BOTH, "MLF-DNN", "MTFN", "MLMF"),
}
ALIGNED = {"MFN", "Graph-MFN", "TETFN", "ALMT", "TMT"}


def test_the_papers_pairs_of_model_and_task() -> None:
    """Table 3: 21 pairs."""
    pairs = {(name, task) for name in models.names() for task in models.entry(name).tasks}
    assert len(pairs) == 21
    assert pairs == {(name, task) for (_, task), names in TABLES.items() for name in names}


def test_every_printed_cell_is_in_the_plan_of_the_paper_suite() -> None:
    """Tables 4 to 7: each model with its task, data set and data setting, and nothing besides but MISA on CH-SIMS."""
    suite, base = load_suite("paper")
    plan = make_plan(suite, load_datasets(suite, base), lambda _dataset, _setting: "0" * 64)
    planned = {(c.dataset.name, c.task, c.model) for c in plan.cells if c.runs and c.variant == "original"}
    printed = {(dataset, task, name) for (dataset, task), names in TABLES.items() for name in names}
    assert printed <= planned
    assert {(dataset, name) for dataset, _, name in planned - printed} == {("sims", "MISA")}
    settings = {c.model: c.setting for c in plan.cells if c.dataset.name == "mosei" and c.runs}
    assert {name for name, setting in settings.items() if setting == "aligned"} == ALIGNED
    variants = {(c.dataset.name, c.model, c.variant) for c in plan.cells if c.runs}
    for dataset, _, name in printed:
        assert {v for d, m, v in variants if (d, m) == (dataset, name)} == (
            {"original", "fg", "a", "v"} if dataset == "sims" else {"original", "fg", "a"}
        )


def test_sub_networks_are_table_3s() -> None:
    kinds = {
        name: "/".join(models.entry(name).subnets[m] for m in ("text", "audio", "vision")) for name in models.names()
    }
    assert kinds == {
        **dict.fromkeys(("LF-DNN", "TFN", "LMF", "MLF-DNN", "MTFN", "MLMF"), "LSTM/MLP/MLP"),
        "MulT": "CNN/CNN/CNN",
        **dict.fromkeys(("MFN", "Graph-MFN"), "LSTM/LSTM/LSTM"),
        **dict.fromkeys(("MISA", "Self-MM"), "BERT/LSTM/LSTM"),
        "TETFN": "BERT/L-C/L-C",
        "ALMT": "BERT/FNN/FNN",
        "TMT": "BERT/MLP/MLP",
    }
