from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from harness.data import check, generate, load_definition, plan, shipped, write_pickle
from harness.errors import StoreError
from harness.spec import SPLITS

SMALL = {"samples": {"train": 20, "valid": 9, "test": 11}, "lengths": {"text": 4, "audio": 6, "vision": 5}}


def small(like: str, **more: Any) -> Any:
    return load_definition({"name": f"synthetic-{like}", "synthetic": {"like": like, **SMALL, **more}})


@pytest.mark.parametrize("like", shipped())
def test_every_layout_passes_its_own_check(like: str) -> None:
    definition = small(like)
    data = generate(definition)
    assert check(data, definition, "unaligned").findings == ()
    train = data["train"]
    assert train["audio"].shape == (20, 6, definition.widths["audio"])
    assert train["text"].shape == (20, 4, definition.widths["text"])
    assert ("regression_labels_T" in train) == definition.unimodal_labels
    assert all(name.startswith("synthetic_") and "$_$" in name for name in train["id"])
    assert all("synthetic" in text for text in train["raw_text"])


@pytest.mark.parametrize(("like", "step", "reach"), [("sims", 0.2, 1), ("mosei", 1 / 3, 3)])
def test_labels_stand_on_the_grid_and_spread_over_the_range(like: str, step: float, reach: float) -> None:
    data = generate(small(like, samples={"train": 200}))["train"]
    labels = data["regression_labels"].astype(float)
    np.testing.assert_allclose(labels / step, np.round(labels / step), atol=1e-5)
    assert labels.min() == -reach
    assert labels.max() == reach
    assert (labels == 0).any()
    np.testing.assert_array_equal(data["classification_labels"], np.sign(labels) + 1)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_pickle(generate(small("sims", seed=seed)), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()
    assert list(tmp_path.glob(".*")) == []
    assert set(pickle.loads((tmp_path / "a").read_bytes())) == set(SPLITS)


def test_scales_and_informative_groups_are_as_planned() -> None:
    definition = small("sims", samples={"train": 400}, lengths={"vision": 12})
    data = generate(definition)["train"]
    groups = [group for group in plan(definition) if group.modality == "vision"]
    assert sum(group.informative for group in groups) == 3
    assert min(group.scale for group in groups) == pytest.approx(1e-2)
    assert max(group.scale for group in groups) == pytest.approx(1e2)
    for group in groups:
        values = data["vision"][:, :, group.columns.start : group.columns.stop]
        assert np.abs(values[values != 0]).mean() == pytest.approx(group.scale, rel=0.6)
        means = values.mean(axis=1)
        strongest = max(abs(np.corrcoef(column, data["regression_labels_V"])[0, 1]) for column in means.T)
        assert (strongest > 0.3) == group.informative
    assert [group.columns.stop for group in groups][-1] == definition.widths["vision"]


def test_padding_is_zero_and_lengths_are_told() -> None:
    data = generate(small("sims"))["train"]
    for row, length in enumerate(data["audio_lengths"]):
        assert (data["audio"][row, length:] == 0).all()
        assert (data["audio"][row, :length] != 0).all()
    mask = data["text_bert"][:, 1]
    for row, length in enumerate(mask.sum(axis=1).astype(int)):
        assert (data["text"][row, : 4 - length] == 0).all()
        assert (data["text"][row, 4 - length :] != 0).any(axis=1).all()
        assert data["text_bert"][row, 0, 0] == 101
        assert (data["text_bert"][row, 0, length:] == 0).all()


def test_a_linear_model_learns_but_not_perfectly() -> None:
    data = generate(load_definition("synthetic"))

    def means(split: str, modalities: tuple[str, ...]) -> Any:
        return np.concatenate([data[split][modality].mean(axis=1) for modality in modalities], axis=1)

    def corr(*modalities: str) -> float:
        model = make_pipeline(StandardScaler(), Ridge(alpha=300.0))
        model.fit(means("train", modalities), data["train"]["regression_labels"])
        predicted = model.predict(means("test", modalities))
        return float(np.corrcoef(predicted, data["test"]["regression_labels"])[0, 1])

    alone = [corr(modality) for modality in ("text", "audio", "vision")]
    together = corr("text", "audio", "vision")
    assert min(alone) > 0.25
    assert max(alone) < together < 0.95


@settings(max_examples=15, deadline=None)
@given(
    counts=st.tuples(*[st.integers(1, 12)] * 3),
    lengths=st.tuples(*[st.integers(1, 4)] * 3),
    noise=st.floats(0, 3),
    low=st.integers(-3, 0),
)
def test_any_parameters_give_a_clean_set(
    counts: tuple[int, ...], lengths: tuple[int, ...], noise: float, low: int
) -> None:
    definition = load_definition(
        {
            "name": "synthetic-any",
            "label_range": [low, 1],
            "widths": {"text": 3, "audio": 1, "vision": 4},
            "groups": {"vision": {"one": 3, "two": 1}},
            "synthetic": {
                "samples": dict(zip(SPLITS, counts, strict=True)),
                "lengths": dict(zip(("text", "audio", "vision"), lengths, strict=True)),
                "noise": noise,
            },
        }
    )
    assert check(generate(definition), definition, "unaligned").findings == ()


def test_a_folder_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(StoreError):
        write_pickle({}, tmp_path / "file" / "f.pkl")
