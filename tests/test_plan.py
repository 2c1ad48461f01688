"""Suites to runs: identities, aliases, cells that cannot be, and what changes a content address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.errors import InputError
from harness.models import text
from harness.plan import Plan, Selection, load_datasets, make_plan, narrow
from harness.spec import VARIANTS, EncoderChoice, Resources, RunSpec, Suite
from harness.suites import load_suite, shipped
from tests.helpers import make_spec

SHA = "a" * 64


def expand(**fields: Any) -> Plan:
    suite = Suite(**{"name": "t", "datasets": ("sims",), "models": ("LF-DNN",), "seeds": (2, 1), **fields})
    return make_plan(suite, load_datasets(suite, Path()), lambda _dataset, _setting: SHA)


@pytest.mark.parametrize("name", shipped())
def test_shipped_suites_expand(name: str) -> None:
    suite, base = load_suite(name)
    assert suite.name == name
    expanded = make_plan(suite, load_datasets(suite, base), lambda _dataset, _setting: SHA)
    assert expanded.runs
    assert len({run.run_id for run in expanded.runs}) == len(expanded.runs)


def test_quick_is_what_the_readme_says() -> None:
    suite, base = load_suite("quick")
    expanded = make_plan(suite, load_datasets(suite, base), lambda _dataset, _setting: SHA)
    assert len(suite.models) >= 3
    assert len(suite.seeds) >= 5
    assert suite.variants == VARIANTS
    assert all(source.dataset.synthetic for source in expanded.sources)
    assert not any(cell.skipped or cell.alias_of for cell in expanded.cells)


def test_paper_has_the_studys_matrix() -> None:
    suite, base = load_suite("paper")
    expanded = make_plan(suite, load_datasets(suite, base), lambda _dataset, _setting: SHA)
    assert {(s.dataset.name, s.setting) for s in expanded.sources} == {
        ("mosei", "aligned"),
        ("mosei", "unaligned"),
        ("sims", "unaligned"),
    }
    settings = {(c.dataset.name, c.model): c.setting for c in expanded.cells}
    assert settings["mosei", "MFN"] == settings["mosei", "Graph-MFN"] == "aligned"  # Table 4's last column
    assert settings["mosei", "LF-DNN"] == settings["mosei", "MulT"] == "unaligned"
    assert suite.seeds == (1111, 1112, 1113, 1114, 1115)


def test_a_variant_that_splits_the_same_is_one_record_under_two_names() -> None:
    expanded = expand(datasets=("mosei",))
    cells = {cell.variant: cell for cell in expanded.cells}
    assert cells["a"].alias_of == "fg"
    assert cells["a"].runs == cells["fg"].runs
    assert "no named sub-features in vision" in cells["v"].skipped
    assert not cells["v"].runs
    assert len(expanded.runs) == 4


def test_an_alias_alone_stands_for_itself() -> None:
    (_, alone) = expand(datasets=("mosei",), variants=("original", "a")).cells
    assert alone.alias_of is None
    assert alone.runs[0].run_id == expand(datasets=("mosei",)).cells[1].runs[1 - 1].run_id


def test_every_variant_is_its_own_run_where_both_modalities_split() -> None:
    expanded = expand()
    assert len(expanded.runs) == 8
    assert [run.seed for run in expanded.cells[0].runs] == [1, 2]
    assert [cell.runs[0].split for cell in expanded.cells] == [(), ("audio", "vision"), ("audio",), ("vision",)]
    assert expanded.cells[0].runs[0].finegrained is None


def test_fine_grained_options_do_not_touch_originals() -> None:
    plain, per_head = expand(), expand(finegrained={"qkv": "per_head"})
    assert plain.cells[0].runs == per_head.cells[0].runs
    assert plain.cells[1].runs[0].run_id != per_head.cells[1].runs[0].run_id


CHANGES: dict[str, Any] = {
    "seed": 99,
    "task": "classification",
    "threads": 2,
    "max_epochs": 77,
    "hyper": {"learning_rate": 0.5},
    "sources": "other",
    "model": "LMF",
}


@pytest.mark.parametrize("field", sorted(CHANGES))
def test_what_can_change_numbers_changes_the_address(field: str) -> None:
    spec = make_spec()
    assert getattr(spec, field) != CHANGES[field]
    assert make_spec(**{field: CHANGES[field]}).run_id != spec.run_id


def test_data_changes_the_address_and_the_metric_convention_does_not() -> None:
    spec = make_spec()
    assert make_spec(data={"sha256": "f" * 64}).run_id != spec.run_id
    other = "sims" if spec.data.convention == "mosei" else "mosei"
    assert make_spec(data={"convention": other}).run_id == spec.run_id


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))))
def test_the_address_knows_values_and_not_their_order(hyper: dict[str, Any]) -> None:
    spec = make_spec(hyper=hyper)
    backwards = make_spec(hyper=dict(reversed(hyper.items())))
    assert backwards.run_id == spec.run_id
    assert RunSpec.model_validate_json(spec.model_dump_json()).run_id == spec.run_id
    assert len(spec.run_id) == 16
    assert make_spec(hyper={**hyper, "one more": 1}).run_id != spec.run_id


def test_narrowing() -> None:
    suite, base = load_suite("paper")
    datasets = load_datasets(suite, base)
    narrowed, kept = narrow(suite, datasets, Selection(datasets=("mosei",), models=("MulT",), seeds=(1112,)))
    assert [d.name for d in kept] == ["mosei"]
    assert narrowed.models == ("MulT",)
    assert narrowed.seeds == (1112,)
    assert narrowed.variants == suite.variants
    with pytest.raises(InputError, match="splits nothing in mosei"):
        narrow(suite, datasets, Selection(datasets=("mosei",), variants=("v",)))
    narrow(suite, datasets, Selection(variants=("v",)))  # CH-SIMS has it, so the question makes sense
    assert narrow(suite, datasets, Selection(seeds=(5,)))[0].seeds == (5,)
    with pytest.raises(InputError, match="did you mean 'MulT'"):
        narrow(suite, datasets, Selection(models=("Mult",)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"report": {"metrics": ["Acc-9"]}}, "unknown metric 'Acc-9'"),
        ({"report": {"metrics": ["Acc-7"]}}, "unknown metric 'Acc-7'"),
        ({"hyper": {"NoNet": {}}}, "unknown model 'NoNet'"),
        ({"resources": {"NoNet": {}}}, "unknown model 'NoNet'"),
        ({"hyper": {"LMF@mosei": {}}}, "no data set 'mosei'"),
        ({"hyper": {"*": {"learning_rat": 1}}}, "did you mean 'learning_rate'"),
        ({"models": ["NoNet"]}, "unknown model 'NoNet'"),
        ({"datasets": ["mosei"], "variants": ["v"]}, "nothing to run"),
        ({"datasets": ["sims", {"base": "sims", "title": "again"}]}, "two data sets are named 'sims'"),
    ],
)
def test_suites_that_make_no_sense(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        expand(**fields)


def test_each_file_is_asked_for_once() -> None:
    asked: list[tuple[str, str]] = []
    suite, base = load_suite("paper")

    def sha256_of(dataset: Any, setting: str) -> str:
        asked.append((dataset.name, setting))
        return SHA

    make_plan(suite, load_datasets(suite, base), sha256_of)
    assert sorted(asked) == sorted(set(asked))


def test_regrouping_vision_leaves_runs_that_do_not_split_it_alone() -> None:
    groups = {"audio": {"ZCR": 1, "MFCC": 20, "CQT": 12}, "vision": {"left": 300, "right": 409}}
    before = {cell.variant: cell.runs[0].run_id for cell in expand().cells}
    after = {cell.variant: cell.runs[0].run_id for cell in expand(datasets=({"base": "sims", "groups": groups},)).cells}
    assert before["original"] == after["original"]
    assert before["a"] == after["a"]
    assert before["fg"] != after["fg"]
    assert before["v"] != after["v"]


SHORT = {"base": "mosi-utterance", "name": "short", "repeat_single_steps": False}


def test_single_steps_are_repeated_for_models_that_pack_by_the_text_alone() -> None:
    runs = {m: expand(datasets=("mosi-utterance",), models=(m,)).runs[0] for m in ("MISA", "Self-MM", "LF-DNN")}
    assert runs["MISA"].data.repeated == ("audio", "vision")
    assert runs["MISA"].data.shapes.lengths == {"text": 50, "audio": 50, "vision": 50}
    for model in ("Self-MM", "LF-DNN"):
        assert runs[model].data.repeated == ()
        assert runs[model].data.shapes.lengths == {"text": 50, "audio": 1, "vision": 1}
    with pytest.raises(
        InputError, match=r"MISA packs audio by the text lengths, but .* has 1 step of it and 50 of text"
    ):
        expand(datasets=(SHORT,), models=("MISA",))
    assert expand(datasets=(SHORT,), models=("Self-MM",)).runs


def test_sequences_shorter_than_the_text_are_never_repeated() -> None:
    lengths = {"text": 12, "audio": 20, "vision": 9}
    with pytest.raises(InputError, match=r"packs vision by the text lengths, but .* has 9 steps of it"):
        expand(datasets=({"base": "synthetic", "synthetic": {"lengths": lengths}},), models=("MISA",))


def test_the_data_setting_is_a_hyper_parameter() -> None:
    cells = {
        aligned: expand(datasets=("mosei",), models=("ALMT",), hyper={"ALMT": {"need_data_aligned": aligned}}).cells
        for aligned in (True, False)
    }
    assert {cell.setting for cell in cells[True]} == {"aligned"}
    assert {cell.setting for cell in cells[False]} == {"unaligned"}
    assert cells[False][0].runs[0].data.shapes.lengths["audio"] == 500


def test_models_take_the_encoders_width() -> None:
    small = {"random": {"hidden_size": 48, "num_hidden_layers": 1}}
    (run,) = expand(models=("Self-MM",), variants=("original",), seeds=(1,), text_encoder=small).runs
    assert run.hyper["text_out"] == 48
    assert run.text_encoder is not None
    assert run.text_encoder.sha256 is None
    assert run.data.shapes.widths["text"] == 768, "the file's ready features keep their width"


def test_each_language_has_its_encoder() -> None:
    given = {"en": {"random": {"hidden_size": 24}}, "zh": {"random": {"hidden_size": 36}}}
    plan = expand(datasets=("mosei", "sims"), models=("ALMT", "LMF"), variants=("original",), text_encoder=given)
    widths = {(r.data.dataset, r.model): r.text_encoder and r.text_encoder.width for r in plan.runs}
    assert widths == {
        ("mosei", "ALMT"): 24,
        ("sims", "ALMT"): 36,
        ("mosei", "LMF"): None,
        ("sims", "LMF"): None,
    }
    default = expand(datasets=("mosei", "sims"), models=("ALMT",), variants=("original",))
    assert [r.text_encoder and r.text_encoder.name for r in default.runs[::2]] == [
        "bert-base-uncased",
        "bert-base-chinese",
    ]


def test_an_encoders_weights_are_part_of_the_address_and_its_name_is_not() -> None:
    run = expand(models=("ALMT",), variants=("original",), seeds=(1,)).runs[0]
    encoder = run.text_encoder
    assert encoder is not None

    def address(**changes: Any) -> str:
        return run.model_copy(update={"text_encoder": encoder.model_copy(update=changes)}).run_id

    assert address(name="elsewhere") == run.run_id
    assert address(sha256="1" * 64) != run.run_id
    assert address(config={**encoder.config, "num_hidden_layers": 3}) != run.run_id


def test_models_of_unimodal_labels_need_them() -> None:
    plan = expand(datasets=("sims", "mosei"), models=("MTFN", "LMF"), tasks=("classification",))
    assert {c.dataset.name for c in plan.cells if c.runs and c.model == "MTFN"} == {"sims"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text_encoder": {"zn": "random"}}, "no data set of the suite is in 'zn'.*did you mean 'zh'"),
        ({"models": ["Self-MM"], "hyper": {"Self-MM": {"text_out": 7}}}, "text_out is the width of the text encoder"),
        ({"models": ["MISA"], "hyper": {"MISA": {"hidden_size": 25}}}, "two heads"),
        ({"models": ["MISA"], "hyper": {"MISA": {"rnncell": "nonsense"}}}, "unknown recurrent cell"),
        ({"models": ["MulT"], "hyper": {"MulT": {"dst_feature_dim_nheads": [50, 7]}}}, "7 attention heads"),
        ({"models": ["Self-MM"], "hyper": {"Self-MM": {"need_data_aligned": True}}}, "they are not aligned"),
    ],
)
def test_choices_that_cannot_go_together(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        expand(**fields)


def test_one_pretrained_encoder_reads_one_language() -> None:
    suite = Suite(name="t", datasets=("mosei", "sims"), models=("ALMT",), seeds=(1,))
    datasets = load_datasets(suite, Path())
    same = text.describe(EncoderChoice(hub="bert-base-uncased")).model_copy(update={"sha256": "1" * 64})
    with pytest.raises(InputError, match="bert-base-uncased would read data sets in en and zh"):
        make_plan(suite, datasets, lambda _dataset, _setting: SHA, lambda _choice: same)
    said = {"en": EncoderChoice(hub="multilingual"), "zh": EncoderChoice(hub="multilingual")}
    named = suite.model_copy(update={"text_encoder": said})
    assert make_plan(named, datasets, lambda _dataset, _setting: SHA, lambda _choice: same).runs


def test_a_changed_copy_has_an_address_of_its_own() -> None:
    run = expand().runs[0]
    assert run.run_id
    assert run.model_copy(update={"seed": 77}).run_id != run.run_id
    assert run.model_copy().run_id == run.run_id


def test_resources_merge_and_the_suite_s_time_limit_is_the_last_word_but_one() -> None:
    suite = Suite.model_validate(
        {
            "name": "t",
            "datasets": ["sims"],
            "models": ["LMF", "MISA"],
            "time_limit": 100.0,
            "resources": {"*": {"memory_gib": 2, "gpus": 0.5}, "MISA": {"memory_gib": 6, "time_limit": 900}},
        }
    )
    assert suite.resources_of("LMF") == Resources(memory_gib=2, gpus=0.5, time_limit=100)
    assert suite.resources_of("MISA") == Resources(memory_gib=6, gpus=0.5, time_limit=900)


@pytest.mark.parametrize("wrong", [{"gpus": 2}, {"gpus": 0}, {"memory_gib": -1}, {"time_limit": 0}, {"cores": 3}])
def test_resources_that_no_run_can_have_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Resources.model_validate(wrong)


def test_resources_are_no_part_of_a_run_s_identity() -> None:
    def run_ids(**fields: Any) -> list[str]:
        return [run.run_id for run in expand(**fields).runs]

    assert run_ids() == run_ids(resources={"*": {"memory_gib": 3}})
