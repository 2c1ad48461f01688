"""Pictures of learned representations and raw features: arrangement, words, keys, what is missing, and the numbers."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline
from numpy.typing import NDArray

from harness.data import Features
from harness.figures import embedding, embedding_plane, embedding_raw, style
from harness.figures.embedding import embedding_drawings
from harness.figures.embedding_plane import perplexity, plane
from harness.figures.embedding_raw import cached_features, raw_drawings
from harness.figures.figure import Drawing, Missing, save
from harness.figures.separation import side_by_side, silhouette
from harness.plan import Plan
from harness.results import Learned, Results, collect
from harness.spec import DatasetSpec, RunSpec
from tests.reports import fakes

MODELS = ("TFN", "LMF")
SEEDS = (1111, 1112, 1113)
WIDTHS = {"text": 6, "audio": 3, "vision": 4}
Clouds = Callable[[RunSpec, np.random.Generator], Mapping[str, NDArray[Any]]]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half the work: no test here asks how good a picture is."""
    monkeypatch.setattr(embedding_plane, "STEPS", 250)


def plain(run: RunSpec, rng: np.random.Generator, n: int = 40) -> dict[str, NDArray[Any]]:
    """Clouds around a point away from the origin; -fg is tighter, so its modalities lie further apart."""
    width = 0.2 if run.variant == "fg" else 1.0
    clouds = {name: rng.normal(1, width, size=(n, w)).astype(np.float32) for name, w in WIDTHS.items()}
    return {**clouds, "fusion": rng.normal(size=(n, 9)).astype(np.float32)}


def learned(plan: Plan, clouds: Clouds = plain) -> dict[str, Learned]:
    found = {}
    for run in plan.runs:
        arrays = dict(clouds(run, np.random.default_rng(int(run.run_id, 16))))
        n = max((len(array) for array in arrays.values()), default=40)
        label = np.resize(np.array([-2.0, 0.0, 1.0, 3.0], dtype=np.float32), n)
        if run.task == "classification":
            label = np.resize(np.array([0, 1, 2]), n)
        found[run.run_id] = Learned(np.array([f"v{i:04d}" for i in range(n)], dtype=object), label, arrays)
    return found


def made(clouds: Clouds = plain, **asked: Any) -> tuple[Results, Plan]:
    plan = fakes.plan(**({"models": MODELS, "seeds": SEEDS, "variants": ("original", "fg")} | asked))
    return replace(collect(plan, fakes.filled(plan).as_store), learned=learned(plan, clouds)), plan


def drawing_of(clouds: Clouds = plain, **asked: Any) -> Drawing:
    return only(embedding_drawings(*made(clouds, **asked)))


def only(found: Iterable[Drawing | Missing]) -> Drawing:
    (drawing,) = found
    assert isinstance(drawing, Drawing)
    return drawing


def why_not(found: Iterable[Drawing | Missing]) -> Missing:
    (missing,) = found
    assert isinstance(missing, Missing)
    return missing


def data_of(drawing: Drawing) -> pd.DataFrame:
    assert callable(drawing.data)
    return drawing.data()


def drawn(drawing: Drawing) -> Figure:
    with style.applied():
        figure = drawing.draw(data_of(drawing))
        figure.draw_without_rendering()  # lays out, as saving does
    return figure


def test_a_row_per_model_with_the_original_beside_fg() -> None:
    figure = drawn(drawing_of())
    axes = np.array(figure.axes).reshape(len(MODELS), 4)
    titles = ["original, by modality", "-fg, by modality", "original, by sentiment", "-fg, by sentiment"]
    assert [one.get_title() for one in axes[0]] == titles
    assert [one.get_ylabel() for one in axes[:, 0]] == [f"{model}\nseed 1111" for model in MODELS]
    assert all("silhouette" in one.get_xlabel() for one in axes.flat)
    assert ["change" in one.get_xlabel() for one in axes[0]] == [False, True, False, False]
    keys = [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]
    assert keys == [["text", "audio", "vision"], ["negative", "neutral", "positive"]]
    for one in axes[:, :2].flat:
        text, audio, vision = (patch.get_edgecolor() for patch in one.patches[:3])
        assert len({text, audio, vision}) == 3
        points = sum(np.count_nonzero(patch.get_path().codes == Outline.MOVETO) for patch in one.patches)
        assert points == 40 * (1 + 2 + 1)  # a cross has two strokes


def test_the_numbers_are_the_silhouettes_of_all_seeds() -> None:
    results, plan = made()
    data = data_of(only(embedding_drawings(results, plan)))
    runs = [run for run in plan.runs if (run.model, run.variant) == ("LMF", "fg")]
    clouds = [{name: results.learned[run.run_id].arrays[name] for name in WIDTHS} for run in runs]
    means = data[(data["part"] == "mean") & (data["row"] == "LMF") & (data["variant"] == "fg")]
    means = means.set_index(["measure", "of"])
    between = [silhouette(*side_by_side(one)).value for one in clouds]
    assert means.loc[("modalities", "all"), "mean"] == pytest.approx(np.mean(between))
    assert means.loc[("modalities", "all"), "seeds"] == len(SEEDS)
    feeling = np.resize(["negative", "neutral", "positive", "positive"], 40)
    for name in WIDTHS:
        within = [silhouette(one[name], feeling).value for one in clouds]
        assert means.loc[("sentiment", name), "mean"] == pytest.approx(np.mean(within))
    change = data[(data["part"] == "change") & (data["measure"] == "modalities") & (data["of"] == "all")]
    assert (change["mean"] > 0.3).all()
    assert (change["holm"] < 0.05).all()


def test_pictures_show_one_seed_and_the_same_points_twice() -> None:
    points = data_of(drawing_of()).query("part == 'point'")
    assert set(points["seed"]) == {1111}
    assert points.groupby(["row", "variant", "modality"]).size().tolist() == [40] * 12
    assert points["x"].notna().all()


def test_the_caption_states_seed_perplexity_counts_and_synthetic() -> None:
    caption = drawing_of().caption
    assert "One seed per model (1111); 40 of 40 test utterances" in caption
    assert "perplexity 30" in caption
    assert caption.endswith("Synthetic data, drawn by the harness.")
    few = drawing_of(lambda run, rng: plain(run, rng, 10)).caption
    assert "perplexity 9.67 rather than 30" in few
    many = drawing_of(lambda run, rng: plain(run, rng, 400)).caption
    assert "120 of 400 test utterances" in many
    assert "of 300 utterances per modality" in many
    real = drawing_of(datasets=[fakes.dataset(synthetic=False)])
    assert "ynthetic" not in real.caption


def test_the_same_runs_give_the_same_figure() -> None:
    pd.testing.assert_frame_equal(data_of(drawing_of(models=["TFN"])), data_of(drawing_of(models=["TFN"])))


def test_the_key_changes_with_what_was_learned_and_with_nothing_else() -> None:
    def changed(name: str, seed: int, variant: str) -> Clouds:
        def clouds(run: RunSpec, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
            found = plain(run, rng)
            if (run.seed, run.variant) == (seed, variant):
                found[name][7, 0] += 1e-3
            return found

        return clouds

    every: dict[str, Any] = {"variants": ("original", "fg", "a", "v")}
    key = drawing_of(**every).content_key
    assert drawing_of(**every).content_key == key
    assert drawing_of(changed("fusion", 1111, "fg"), **every).content_key == key
    assert drawing_of(changed("audio", 1111, "a"), **every).content_key == key
    assert drawing_of(changed("audio", 1111, "fg"), **every).content_key != key
    assert drawing_of(changed("text", 1113, "original"), **every).content_key != key
    assert drawing_of(**every, seeds=SEEDS[:2]).content_key != key


def test_nothing_is_computed_before_it_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("computed too early")

    for name in ("plane", "silhouette", "over_seeds"):
        monkeypatch.setattr(embedding, name, never)
    drawing = drawing_of()
    assert drawing.content_key
    with pytest.raises(AssertionError, match="too early"):
        data_of(drawing)


def test_saved_and_left_alone_the_second_time(tmp_path: Path) -> None:
    drawing = pickle.loads(pickle.dumps(drawing_of(models=["TFN"])))
    (saved,) = save([drawing], tmp_path)
    assert saved.drawn
    picture = saved.svg.read_text(encoding="utf-8")
    assert "silhouette within each modality" in picture
    assert len(pd.read_csv(saved.csv).query("part == 'point'")) == 2 * 3 * 40
    (again,) = save([drawing_of(models=["TFN"])], tmp_path)
    assert not again.drawn


def test_one_seed_has_no_interval() -> None:
    figure = drawn(drawing_of(seeds=(7,), models=["TFN"]))
    assert ", n 1" in figure.axes[0].get_xlabel()
    assert "[" not in figure.axes[0].get_xlabel()
    assert figure.axes[0].get_ylabel() == "TFN\nseed 7"


def test_without_fg_there_is_one_column() -> None:
    figure = drawn(drawing_of(variants=("original",), models=["TFN"]))
    assert [one.get_title() for one in figure.axes] == ["original, by modality", "original, by sentiment"]


def test_a_run_that_is_missing_leaves_an_empty_picture_and_another_seed_where_it_must() -> None:
    results, plan = made()
    failed = (results.runs["model"] == "TFN") & (results.runs["variant"] == "fg")
    one = (results.runs["model"] == "LMF") & (results.runs["variant"] == "fg") & (results.runs["seed"] == 1111)
    runs = results.runs.assign(status=results.runs["status"].where(~(failed | one), "failed"))
    drawing = only(embedding_drawings(replace(results, runs=runs), plan))
    assert "One seed per model (1111 and 1112)" in drawing.caption
    axes = np.array(drawn(drawing).axes).reshape(2, 4)
    assert [text.get_text() for text in axes[0, 1].texts] == ["no run"]
    assert axes[1, 0].get_ylabel() == "LMF\nseed 1112"


def test_representations_that_do_not_vary() -> None:
    def collapsed(run: RunSpec, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        found = plain(run, rng)
        return found if run.variant == "original" else {**found, "audio": np.full((40, 3), 0.5, dtype=np.float32)}

    drawing = drawing_of(collapsed, models=["TFN"])
    audio = data_of(drawing).query("of == 'audio' and variant == 'fg' and part == 'mean'").set_index("measure")
    assert audio.loc["modalities", "mean"] == pytest.approx(1)
    assert audio.loc["spread", "mean"] == pytest.approx(0, abs=1e-9)
    assert audio.loc["sentiment", "note"] == "all points coincide"
    figure = drawn(drawing)
    assert "A (all points coincide)" in figure.axes[3].get_xlabel()
    assert "A 0.00" in figure.axes[1].get_xlabel()


def odd(kind: str) -> Clouds:
    def clouds(run: RunSpec, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        found = plain(run, rng, 3 if kind == "three utterances" else 40)
        if kind == "text alone":
            return {"text": found["text"]}
        if kind == "width 1":
            return {name: array[:, :1] for name, array in found.items()}
        if kind == "not finite":
            found["audio"][:5] = np.nan
            found["vision"][:] = np.inf
        if kind == "all zero":
            return {name: np.zeros_like(array) for name, array in found.items()}
        return found

    return clouds


@pytest.mark.parametrize("kind", ["text alone", "width 1", "not finite", "all zero", "three utterances"])
def test_what_is_degenerate_is_drawn_all_the_same(kind: str, tmp_path: Path) -> None:
    (saved,) = save([drawing_of(odd(kind), models=["TFN"])], tmp_path)
    picture = saved.svg.read_text(encoding="utf-8")
    assert "by modality" in picture
    assert ">nan" not in picture


def test_models_without_representations_are_named() -> None:
    def clouds(run: RunSpec, rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        return {} if run.model == "TFN" else plain(run, rng)

    drawing = drawing_of(clouds)
    assert "TFN left no unimodal representations that can be read." in drawing.caption
    assert set(data_of(drawing)["row"]) == {"LMF"}
    missing = why_not(embedding_drawings(*made(clouds, models=["TFN"])))
    assert missing.reason == "TFN left no unimodal representations that can be read"


def test_a_record_that_cannot_be_read_is_left_out() -> None:
    results, plan = made(models=["TFN"])
    kept = {run_id: found for run_id, found in results.learned.items() if run_id != plan.runs[1].run_id}
    drawing = only(embedding_drawings(replace(results, learned=kept), plan))
    means = data_of(drawing).query("part == 'mean' and of == 'all'").set_index("variant")
    assert means["seeds"].to_dict() == {"original": 2, "fg": 3}


def test_nothing_run_says_so() -> None:
    plan = fakes.plan()
    missing = why_not(embedding_drawings(collect(plan, fakes.FakeStore().as_store), plan))
    assert missing.reason == "no run of an original or of -fg is done"
    assert missing.place == "synthetic-toy-regression"


def test_a_large_suite_shows_its_first_models_and_says_so() -> None:
    models = ["LF-DNN", "TFN", "LMF", "MFN", "MulT", "MISA"]
    datasets = [fakes.dataset("one"), fakes.dataset("two")]
    results, plan = made(models=models, datasets=datasets, seeds=(1,), tasks=("regression", "classification"))
    drawings = [only([one]) for one in embedding_drawings(results, plan)]
    assert len(drawings) == len({drawing.name for drawing in drawings}) == 4
    for drawing in drawings:
        assert "This figure has room for 2 models, without LMF, MFN, MulT and MISA." in drawing.caption
    assert list(dict.fromkeys(data_of(drawings[1])["row"])) == ["LF-DNN", "TFN"]


def test_names_are_no_formulas() -> None:
    results, plan = made(models=["TFN"])
    runs = results.runs.assign(model="a_$x&%#情感")
    drawing = only(embedding_drawings(replace(results, runs=runs), plan))
    assert drawn(drawing).axes[0].get_ylabel() == "a_$x&%#情感\nseed 1111"


def test_perplexity_is_lowered_for_few_points() -> None:
    assert [perplexity(n) for n in (1000, 91, 31, 4)] == [30, 30, 10, 1]


def test_plane_keeps_far_clouds_apart_and_gives_up_where_there_is_nothing() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(30, 5)), rng.normal(size=(30, 5)) + 50])
    placed = plane(points)
    assert placed is not None
    assert silhouette(placed, ["left"] * 30 + ["right"] * 30).value > 0.5
    assert (placed == plane(points)).all()
    assert np.abs(placed.max(axis=0) + placed.min(axis=0)) == pytest.approx([0, 0], abs=1e-6)
    assert plane(points[:4]) is None
    assert plane(np.ones((20, 3))) is None
    assert plane(np.arange(20.0)[:, None]) is not None


Small = tuple[DatasetSpec, Features, Path]


def raw(small: Small, **changes: Any) -> Drawing:
    definition, features, _ = small
    plan = fakes.plan([definition.model_copy(update=changes)])
    return only(raw_drawings({(definition.name, "unaligned"): features}, plan))


def test_raw_features_as_in_fig_2(small_synthetic: Small) -> None:
    definition, features, _ = small_synthetic
    drawing = raw(small_synthetic)
    figure = drawn(drawing)
    pictures, keys = figure.axes[:3], figure.axes[3:]
    heads = [one.get_title().split("\n") for one in pictures]
    assert [head[0] for head in heads] == ["(a) concatenated", "(b) audio", "(b) vision"]
    assert all(head[1].startswith("silhouette between clouds ") for head in heads)
    named = [[text.get_text().split(" (")[0] for text in one.get_legend().get_texts()] for one in keys]  # type: ignore[union-attr]
    assert named == [["audio", "vision"], list(definition.groups["audio"]), list(definition.groups["vision"])]
    widths = data_of(drawing).query("measure == 'sentiment'").set_index(["panel", "cloud"])["width"]
    assert widths["(b) vision", "FaceLmk"] == 340
    assert widths["(a) concatenated", "audio"] == 33
    assert f"Utterances of the test split ({len(features.splits['test'])})" in drawing.caption
    assert "no interval over seeds" in drawing.caption
    assert "Synthetic data" in drawing.caption


def test_raw_numbers_come_from_the_groups_columns(small_synthetic: Small) -> None:
    _, features, _ = small_synthetic
    split = features.splits["test"]
    numbers = data_of(raw(small_synthetic)).query("measure == 'sentiment'").set_index(["panel", "cloud"])
    steps, lengths = split.arrays["audio"], split.arrays["audio_lengths"]
    means = np.array([steps[i, : lengths[i]].mean(axis=0, dtype=np.float64) for i in range(len(split))])
    mfcc = means[:, 1:21]
    mfcc = (mfcc - mfcc.mean(axis=0)) / mfcc.std(axis=0)
    label = np.clip(split.labels["regression"], -1, 1)
    classes = np.where(label <= np.float32(-0.1), "neg", np.where(label <= np.float32(0.1), "neu", "pos"))
    assert numbers.loc[("(b) audio", "MFCC"), "value"] == pytest.approx(silhouette(mfcc, classes).value)


def test_raw_keys_change_with_the_groups_and_not_with_the_title(small_synthetic: Small) -> None:
    regrouped = {"audio": {"ZCR": 1, "rest": 32}}
    one, same, other = (raw(small_synthetic, **c) for c in ({}, {"source": "elsewhere"}, {"groups": regrouped}))
    assert one.content_key == same.content_key != other.content_key


def test_raw_features_are_not_read_before_they_are_drawn(
    small_synthetic: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("read too early")

    monkeypatch.setattr(embedding_raw, "load_features", never)
    drawing = raw(small_synthetic)
    assert drawing.content_key
    assert pickle.loads(pickle.dumps(drawing.data.args)) is not None  # type: ignore[union-attr]


def test_raw_features_that_are_not_here_or_not_grouped_are_named(small_synthetic: Small) -> None:
    definition, features, _ = small_synthetic
    plan = fakes.plan([definition])
    missing = why_not(raw_drawings({}, plan))
    assert "are not in the cache of this machine" in missing.reason
    assert missing.place == "synthetic-small-regression"
    whole = fakes.plan([definition.model_copy(update={"groups": {}})])
    missing = why_not(raw_drawings({(definition.name, "unaligned"): features}, whole))
    assert "names no sub-features" in missing.reason


def test_cached_features_are_found_by_content_and_never_made(small_synthetic: Small, tmp_path: Path) -> None:
    definition, features, cache = small_synthetic
    plan = fakes.plan([definition])
    assert cached_features(plan, tmp_path) == {}
    assert not list(tmp_path.iterdir())
    cells = [
        replace(
            cell,
            runs=tuple(
                run.model_copy(update={"data": run.data.model_copy(update={"sha256": features.sha256})})
                for run in cell.runs
            ),
        )
        for cell in plan.cells
    ]
    found = cached_features(replace(plan, cells=tuple(cells)), cache)
    assert [where.folder for where in found.values()] == [features.folder]


def test_a_set_that_is_not_synthetic_is_not_called_so(small_synthetic: Small) -> None:
    drawing = raw(small_synthetic, synthetic=None)
    assert "ynthetic data" not in drawing.caption
