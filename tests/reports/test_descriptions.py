"""Tables 1 to 3: against the printed ones, the data at hand, and the models as they are built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from torch import nn

from harness import models
from harness.data import Features, Split, generate, load_definition, open_features, write_pickle
from harness.figures import cached_features
from harness.models import bert
from harness.plan import Plan, load_datasets, make_plan
from harness.published import load
from harness.reports.descriptions import descriptions
from harness.reports.sheets import Line, Sheet
from harness.spec import MODALITIES, DatasetSpec, Modality, Shapes, Suite
from harness.suites import load_suite
from tests.planned import SMALL_HYPER, build_model, planned_spec
from tests.reports import fakes

TEXT_SITES: Mapping[str, str] = {
    **dict.fromkeys(("LF-DNN", "TFN", "LMF", "MLF-DNN", "MTFN", "MLMF"), "Model.text_subnet"),
    **dict.fromkeys(("MFN", "Graph-MFN"), "Model.lstm_l"),
    "MulT": "Model.proj_l",
    "MISA": "Model.bertmodel",
    "Self-MM": "Model.text_model",
    **dict.fromkeys(("TETFN", "ALMT"), "text_model"),
}
"""Where the text is first read; the text features that TMT gets have been through BERT before."""
PARTS: Mapping[str, tuple[type[nn.Module], ...]] = {
    "recurrent": (nn.LSTM, nn.LSTMCell),
    "convolution": (nn.Conv1d,),
    "BERT": (bert.BertEncoder,),
}
KINDS: Mapping[str, set[str]] = {
    "LSTM": {"recurrent"},
    "CNN": {"convolution"},
    "L-C": {"recurrent", "convolution"},
    "MLP": set(),
    "FNN": set(),
    "BERT": {"BERT"},
}


@pytest.fixture(scope="module")
def paper() -> Plan:
    suite, base = load_suite("paper")
    return make_plan(suite, load_datasets(suite, base), lambda _dataset, _setting: "0" * 64)


def held(sha256: str, train: int, valid: int = 2, test: int = 3) -> Features:
    """Features of which only the number of utterances is known."""
    counts = {"train": train, "valid": valid, "test": test}
    splits = {name: Split(name, tuple(map(str, range(n))), (), {}, {}) for name, n in counts.items()}
    shapes = Shapes(widths=dict.fromkeys(MODALITIES, 1), lengths=dict.fromkeys(MODALITIES, 1))
    return Features(sha256 * 64, Path(), shapes, (), splits)


def cells(sheet: Sheet) -> dict[str, tuple[str, ...]]:
    return {line.name: line.cells for line in sheet.lines}


def column(sheet: Sheet, line: Line, label: str) -> str:
    return line.cells[[head.label for head in sheet.columns].index(label)]


def test_table_1_is_the_printed_one(paper: Plan) -> None:
    sheet = descriptions(paper, {})[0]
    numbers = [(line.name, *line.cells[1:5]) for line in sheet.lines]
    assert numbers == [
        (size.row, size.train.text, size.valid.text, size.test.text, size.total.text) for size in load().sizes
    ]
    assert {column(sheet, line, "Counted from") for line in sheet.lines} == {"definition"}
    assert not sheet.synthetic


def test_utterances_are_counted_where_the_data_is_at_hand(paper: Plan) -> None:
    features = {("mosei", "aligned"): held("a", 1200), ("mosei", "unaligned"): held("b", 1200)}
    sheet = descriptions(paper, features)[0]
    assert cells(sheet)["MOSEI"] == (
        *("unaligned and aligned", "1,200", "2", "3", "1,205"),
        "data bbbbbbbbbbbb and data aaaaaaaaaaaa",
    )
    assert cells(sheet)["CH-SIMS"][-1] == "definition"


def test_feature_files_of_other_sizes_have_lines_of_their_own(paper: Plan) -> None:
    sheet = descriptions(paper, {("mosei", "aligned"): held("a", 7)})[0]
    assert [(line.name, line.opens, *line.cells) for line in sheet.lines][:2] == [
        ("MOSEI", False, "unaligned", "16,326", "1,871", "4,659", "22,856", "definition"),
        ("MOSEI", False, "aligned", "7", "2", "3", "12", "data aaaaaaaaaaaa"),
    ]


def test_unknown_sizes_are_empty() -> None:
    unknown = fakes.plan([fakes.dataset(), fakes.dataset("half", samples={"train": 10, "test": 5})])
    sheet = descriptions(unknown, {})[0]
    sizes = [line.cells[1:5] for line in sheet.lines]
    assert sizes == [("", "", "", ""), ("10", "", "5", "")]


def test_table_2_is_the_printed_one(paper: Plan) -> None:
    sheet = descriptions(paper, {})[1]
    for line, row in zip(sheet.lines, load().sub_features, strict=True):
        listed = column(sheet, line, "Fine-grained features")
        names = [group.partition(" (")[0] for group in listed.split(", ")] if row.names else []
        assert column(sheet, line, "Modality") == row.modality.capitalize()
        assert names == [name.replace(" ", "") for name in row.names]
        assert column(sheet, line, "Dimension") == row.dimension.text
        assert column(sheet, line, "Groups") == (str(len(row.names)) if row.names else "–")
        assert row.names or listed == row.text == "–"
    assert [line.name for line in sheet.lines] == ["MOSEI", "MOSEI", "CH-SIMS", "CH-SIMS"]
    assert [line.opens for line in sheet.lines] == [False, False, True, False]


def test_table_2_says_how_wide_each_group_is_and_which_tool_made_it(paper: Plan) -> None:
    sheet = descriptions(paper, {})[1]
    assert sheet.lines[2].cells == ("Audio", "ZCR (1), MFCC (20), CQT (12)", "3", "33", "LibROSA")


def test_table_3_is_the_printed_one(paper: Plan) -> None:
    sheet = descriptions(paper, {})[2]
    printed = {
        row.model: (
            *(row.text, row.acoustics, row.vision),
            *("✓" if tick else "–" for tick in (row.regression, row.classification)),
        )
        for row in load().networks
    }
    assert {name: found[:5] for name, found in cells(sheet).items()} == printed
    assert cells(sheet)["LF-DNN"][5] == "unaligned"
    assert cells(sheet)["TMT"][5] == "aligned on MOSEI, unaligned on CH-SIMS"


@pytest.mark.parametrize("name", models.names())
def test_sub_networks_are_those_of_the_built_models(paper: Plan, name: str) -> None:
    sheet = descriptions(paper, {})[2]
    told = dict(zip(MODALITIES, cells(sheet)[name], strict=False))
    spec = planned_spec("synthetic", name, hyper=SMALL_HYPER)
    model = build_model(spec)
    sites: dict[Modality, str] = {modality: site.path for modality, site in models.entry(name).sites.items()}
    if name in TEXT_SITES:
        sites["text"] = TEXT_SITES[name]
    else:
        assert (name, told["text"], spec.text_encoder) == ("TMT", "BERT", None)
    for modality, path in sites.items():
        parts = list(model.get_submodule(path).modules())
        found = {part for part, types in PARTS.items() if any(isinstance(module, types) for module in parts)}
        assert found == KINDS[told[modality]], modality
        if not found:
            assert any(isinstance(module, nn.Linear) for module in parts), modality


def test_synthetic_data_is_called_so() -> None:
    sizes, groups, networks = descriptions(fakes.plan(), {})
    assert (sizes.synthetic, groups.synthetic, networks.synthetic) == (True, True, False)
    both = descriptions(fakes.plan([fakes.dataset(), fakes.dataset("real", synthetic=False)]), {})
    assert not any(sheet.synthetic for sheet in both)
    for sheet in both[:2]:
        assert {line.name for line in sheet.lines} == {"Toy set toy (synthetic data)", "Toy set real"}


def test_names_pass_unharmed() -> None:
    odd = "A&B_% $#^~\\{} 情感"
    data = fakes.dataset(title=odd, groups={"audio": {odd: 4}}, tools={"audio": odd}, synthetic=False)
    sizes, groups, networks = descriptions(fakes.plan([data], models=["LF-DNN", odd]), {})
    assert sizes.lines[0].name == odd
    assert groups.lines[0].cells == ("Audio", f"{odd} (4)", "1", "4", odd)
    assert networks.lines[1] == Line(odd, ("", "", "", "", "", "unaligned"))


def test_sheets_are_whole(paper: Plan) -> None:
    for plan in (paper, fakes.plan()):
        sheets = descriptions(plan, {})
        assert len({sheet.slug for sheet in sheets}) == 3
        for number, sheet in enumerate(sheets, 1):
            assert f"Table {number} of the paper" in sheet.caption
            assert {len(line.cells) for line in sheet.lines} == {len(sheet.columns)}


def test_the_features_of_a_report_are_counted(tmp_path: Path) -> None:
    """A definition may be wrong: what the converted file holds is what runs are trained on."""
    counts = {"train": 11, "valid": 7, "test": 5}
    layout = {"like": "sims", "samples": counts, "lengths": {"text": 4, "audio": 3, "vision": 3}}
    data = load_definition({"name": "synthetic-few", "synthetic": layout})
    write_pickle(generate(data), tmp_path / "few.pkl")
    converted = open_features(tmp_path / "few.pkl", data, "unaligned", tmp_path)
    wrong = {**data.model_dump(mode="json"), "samples": {"train": 1, "valid": 1, "test": 1}}
    suite = Suite.model_validate({"name": "few", "datasets": [wrong], "models": ["LF-DNN"]})
    plan = make_plan(suite, [DatasetSpec.model_validate(wrong)], lambda _dataset, _setting: converted.sha256)
    sheet = descriptions(plan, cached_features(plan, tmp_path))[0]
    counted_from = f"data {converted.sha256[:12]}"
    assert cells(sheet) == {data.title: ("unaligned", "11", "7", "5", "23", counted_from)}
