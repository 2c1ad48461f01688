from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.data import load_definition, shipped, table1, table2
from harness.errors import DataError, InputError

# Table 1 and Table 2 of the paper, as printed.
TABLE_1 = {"MOSEI": (16326, 1871, 4659, 22856), "CH-SIMS": (1368, 456, 457, 2281)}
TABLE_2 = {
    ("MOSEI", "Audio"): (
        "F0, VUV, NAQ, QOQ, H1H2, PSP, MDQ, Peak Slope, Rd, Creak, MECF, HMPDM, HMPDD",
        74,
        "COVAREP",
    ),
    ("MOSEI", "Vision"): ("", 35, "FACET"),
    ("CH-SIMS", "Audio"): ("ZCR, MFCC, CQT", 33, "LibROSA"),
    ("CH-SIMS", "Vision"): ("Gaze, EyeLmk, HeadPose, FaceLmk, PDM, AU", 709, "OpenFace 2.0"),
}


def test_shipped_definitions_and_their_folder_agree() -> None:
    folder = Path(str(__import__("harness.data", fromlist=["x"]).__file__)).parent / "definitions"
    assert sorted(path.stem for path in folder.glob("*.yaml")) == sorted(shipped())


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_definition_loads(name: str) -> None:
    definition = load_definition(name)
    assert definition.name == name
    assert definition.source
    assert definition.samples is not None
    for modality, groups in definition.groups.items():
        assert sum(groups.values()) == definition.widths[modality]
    for setting in definition.settings.values():
        assert (setting.file is None) == (definition.synthetic is not None)


@pytest.mark.parametrize(
    ("name", "variants"),
    [
        ("mosei", ("original", "fg", "fg", None)),
        ("sims", ("original", "fg", "a", "v")),
        ("mosi", ("original", None, None, None)),
        ("mosi-utterance", ("original", "fg", "fg", None)),
        ("synthetic", ("original", "fg", "a", "v")),
    ],
)
def test_variants_that_the_groups_allow(name: str, variants: tuple[str | None, ...]) -> None:
    definition = load_definition(name)
    assert tuple(definition.canonical(v) for v in ("original", "fg", "a", "v")) == variants


def test_lengths_that_reproduce_the_printed_costs() -> None:
    def lengths(name: str, setting: Any) -> tuple[int, ...]:
        return tuple(load_definition(name).settings[setting].lengths.values())

    assert lengths("mosei", "unaligned") == (50, 500, 500)
    assert lengths("mosei", "aligned") == (50, 50, 50)
    assert lengths("sims", "unaligned") == (39, 400, 55)


def test_tables_1_and_2_are_the_papers() -> None:
    both = [load_definition("mosei"), load_definition("sims")]
    for row in table1(both):
        assert (row["Train"], row["Valid"], row["Test"], row["Total"]) == TABLE_1[row["Dataset"]]
        assert row["Counted from"] == "definition"
    rows = table2(both)
    assert len(rows) == len(TABLE_2)
    for row in rows:
        names, width, tool = TABLE_2[row["Dataset"], row["Modality"]]
        ours = ", ".join(part.split(" (")[0] for part in row["Fine-grained features"].split(", "))
        # The paper prints two names in another spelling.
        assert ours == names.replace("Peak Slope", "PeakSlope").replace("MECF", "MCEP")
        assert (row["Dimension"], row["Tool"]) == (width, tool)
    assert [row["Groups"] for row in rows] == [13, 0, 3, 6]


def test_table_1_counts_the_data_where_there_is_some(small_synthetic: Any) -> None:
    definition, features, _ = small_synthetic
    (row,) = table1([definition], {definition.name: features})
    assert (row["Train"], row["Valid"], row["Test"], row["Total"]) == (48, 16, 24, 88)
    assert row["Counted from"] == f"data {features.sha256[:12]}"
    assert "ynthetic" in row["Dataset"]


def test_a_users_yaml_works_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "base: mosei\nname: own\ntitle: Own\n"
        "groups: {audio: {prosody: 10, spectrum: 64}}\n"
        "settings: {aligned: null, unaligned: {file: own.pkl, sha256: null}}\n"
        "samples: {train: 100}\n",
        encoding="utf-8",
    )
    for ref, base in (("own.yaml", tmp_path), (tmp_path / "own.yaml", None)):
        own = load_definition(ref, base=base)
        assert own.groups == {"audio": {"prosody": 10, "spectrum": 64}}
        assert list(own.settings) == ["unaligned"]
        assert own.settings["unaligned"].file == "own.pkl"
        assert own.settings["unaligned"].sha256 is None
        assert own.settings["unaligned"].lengths["audio"] == 500
        assert own.samples == {"train": 100, "valid": 1871, "test": 4659}


def test_groups_can_be_taken_away_and_merging_leaves_the_shipped_one_alone() -> None:
    assert load_definition({"base": "sims", "name": "x", "groups": {"audio": None}}).groups.keys() == {"vision"}
    assert load_definition("sims").groups.keys() == {"audio", "vision"}


def test_a_synthetic_set_takes_the_layout_it_names() -> None:
    definition = load_definition({"name": "synthetic-mosei", "synthetic": {"like": "mosei", "samples": {"train": 5}}})
    mosei = load_definition("mosei")
    assert definition.groups == mosei.groups
    assert definition.widths == mosei.widths
    assert definition.convention == "mosei"
    assert definition.samples == {"train": 5, "valid": 96, "test": 160}
    assert definition.title == "Synthetic (MOSEI layout)"
    own = load_definition({"name": "synthetic-x", "title": "Mine", "synthetic": {}, "unimodal_labels": False})
    assert own.title == "Mine (synthetic)"
    assert not own.unimodal_labels


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("moseii", "did you mean 'mosei'"),
        ("nowhere.yaml", "no such data set definition"),
        ({"base": "mosai", "name": "x"}, "'mosai' is not a shipped"),
        ({"name": "x", "synthetic": {}}, "must say so in its name"),
        ({"name": "synthetic-x", "synthetic": {"like": "cmu"}}, "'cmu' is not a shipped"),
        ({"name": "synthetic-x", "synthetic": {"sampels": {}}}, "sampels: unknown field"),
        ({"name": "synthetic-x", "synthetic": {"samples": 3}}, "samples"),
        ({"base": "mosei", "name": "x", "groups": {"audio": {"a": 3}}}, "add up to 3"),
        ({"base": "mosei", "name": "x", "widths": {"audio": "wide"}}, "widths.audio"),
        ({"base": "mosei", "nmae": "x"}, "nmae: unknown field"),
    ],
)
def test_wrong_definitions_are_input_errors(ref: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_definition(ref, base=tmp_path)
    assert caught.value.exit_code == 2


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match="mosi-utterance"):
        load_definition("nothing-like-it")
