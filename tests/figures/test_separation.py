"""Silhouettes of clouds whose separation is known, the common space of different widths, and seeds as units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import silhouette_score

from harness.figures.separation import (
    PLACE,
    over_seeds,
    paired,
    sample,
    sentiments,
    side_by_side,
    silhouette,
    spread,
    standardised,
    varies,
)
from harness.spec import Convention

CONVENTIONS: tuple[Convention, ...] = ("mosei", "sims")
TWO = ["left"] * 40 + ["right"] * 40


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_two_points_a_side_by_hand() -> None:
    found = silhouette([0.0, 1.0, 10.0, 11.0], ["left", "left", "right", "right"])
    outer, inner = (10.5 - 1) / 10.5, (9.5 - 1) / 9.5
    assert found.value == pytest.approx((outer + inner) / 2)
    assert found.groups == pytest.approx({"left": found.value, "right": found.value})
    assert (found.n, found.note) == (4, "")


def test_far_apart_is_near_one_and_the_same_cloud_twice_near_zero(rng: np.random.Generator) -> None:
    cloud = rng.normal(size=(40, 6))
    far = silhouette(np.concatenate([cloud, cloud + 1000]), TWO)
    assert far.value > 0.99
    same = silhouette(np.concatenate([cloud, cloud]), TWO)
    assert abs(same.value) < 0.05


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_it_is_scikit_learns_wherever_the_origin_is(offset: float, rng: np.random.Generator) -> None:
    points = rng.normal(size=(80, 3)) + np.repeat([[0.0], [1.5]], 40, axis=0)
    found = silhouette(points + offset, TWO)
    assert found.value == pytest.approx(silhouette_score(points, TWO), abs=1e-7)
    assert np.mean(list(found.groups.values())) == pytest.approx(found.value)


def test_sizes_of_groups_weigh(rng: np.random.Generator) -> None:
    points = np.concatenate([rng.normal(size=(60, 2)), rng.normal(size=(20, 2)) + 3])
    found = silhouette(points, ["many"] * 60 + ["few"] * 20)
    assert found.value == pytest.approx((60 * found.groups["many"] + 20 * found.groups["few"]) / 80)


@pytest.mark.parametrize(
    ("points", "labels", "note"),
    [
        (np.empty((0, 4)), [], "fewer than 3 points"),
        ([[0.0], [1.0]], ["a", "b"], "fewer than 3 points"),
        ([[0.0], [1.0], [2.0]], ["a", "a", "a"], "one group"),
        ([[0.0], [1.0], [2.0]], ["a", "b", "c"], "every point is a group of its own"),
        (np.full((6, 3), 0.7, dtype=np.float32), ["a", "b"] * 3, "all points coincide"),
        (np.zeros((6, 3)), ["a", "b"] * 3, "all points coincide"),
        (np.full((6, 3), np.nan), ["a", "b"] * 3, "fewer than 3 points"),
    ],
)
def test_what_cannot_be_computed_says_why(points: object, labels: list[str], note: str) -> None:
    found = silhouette(points, labels)  # type: ignore[arg-type]
    assert np.isnan(found.value)
    assert found.note == note
    assert not found.groups


def test_rounding_of_single_precision_is_no_spread(rng: np.random.Generator) -> None:
    noise = rng.choice([-1, 0, 1], size=(40, 5)) * np.finfo(np.float32).eps
    collapsed = (np.float32(0.8) + noise).astype(np.float32)
    assert silhouette(collapsed, TWO[20:60]).note == "all points coincide"


def test_points_that_are_not_finite_are_left_out(rng: np.random.Generator) -> None:
    points = rng.normal(size=(80, 3))
    holed = np.concatenate([points, [[np.nan, 0, 0], [np.inf, 0, 0]]])
    assert silhouette(holed, [*TWO, "left", "right"]) == silhouette(points, TWO)


def test_a_point_without_a_label_is_an_error() -> None:
    with pytest.raises(ValueError, match="4 points have labels of shape"):
        silhouette(np.zeros((4, 2)), ["a", "b"])
    with pytest.raises(ValueError, match="shape"):
        silhouette(np.zeros((4, 2, 2)), ["a"] * 4)


def test_spread_is_the_share_of_variance() -> None:
    assert spread(np.full((5, 3), 2.0)) == pytest.approx(0.0, abs=1e-15)
    assert spread([[1.0, 1.0], [1.0, -1.0]]) == pytest.approx(0.5)
    assert spread([[-2.0], [2.0]]) == pytest.approx(1.0)
    assert np.isnan(spread(np.zeros((4, 2))))
    assert np.isnan(spread(np.empty((0, 2))))
    assert varies([[1.0], [1.001]])
    assert not varies([[1.0], [1.0 + 1e-7]])
    assert not varies(np.empty((0, 2)))


def test_standardised_columns_and_constant_ones(rng: np.random.Generator) -> None:
    points = np.column_stack([rng.normal(3, 7, 50), np.full(50, 1e6), np.full(50, 0.1)])
    found = standardised(points)
    assert found[:, 0].mean() == pytest.approx(0, abs=1e-12)
    assert found[:, 0].std() == pytest.approx(1)
    assert not found[:, 1:].any()


def test_standardised_ignores_a_row_that_is_not_finite(rng: np.random.Generator) -> None:
    points = rng.normal(size=(20, 2))
    holed = np.concatenate([points, [[np.nan, 4.0]]])
    assert standardised(holed)[:20] == pytest.approx(standardised(points))
    assert np.isnan(standardised(holed)[20, 0])


def test_side_by_side_distances_follow_pythagoras() -> None:
    points, names = side_by_side({"text": [[2.0, 0.0], [0.0, 2.0]], "audio": [[3.0], [3.0]]})
    assert names.tolist() == ["text", "text", "audio", "audio"]
    assert points.shape == (4, 3)
    assert np.square(points).sum(axis=1) == pytest.approx(1)
    assert np.linalg.norm(points[0] - points[2]) == pytest.approx(np.sqrt(2))
    assert np.linalg.norm(points[2] - points[3]) == 0


def test_the_common_space_does_not_depend_on_rotation_order_or_size(rng: np.random.Generator) -> None:
    text, audio = rng.normal(1, 1, size=(40, 6)), rng.normal(1, 1, size=(40, 3))
    turned, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    plain = silhouette(*side_by_side({"text": text, "audio": audio}))
    other = silhouette(*side_by_side({"text": 50 * text @ turned, "audio": audio[:, ::-1]}))
    assert other.value == pytest.approx(plain.value)


def test_padding_with_zeros_would_depend_on_the_order_of_units(rng: np.random.Generator) -> None:
    """The reason for the choice: the same two representations, their units listed in another order."""
    text = rng.normal(0, 0.3, size=(40, 4)) + np.array([5, 0, 0, 0])
    audio = rng.normal(0, 0.3, size=(40, 2)) + np.array([5, 0])
    found = [
        silhouette_score(np.concatenate([text, np.pad(one, ((0, 0), (0, 2)))]), TWO) for one in (audio, audio[:, ::-1])
    ]
    assert found[1] - found[0] > 0.5


def test_collapse_looks_like_separation(rng: np.random.Generator) -> None:
    """What the captions warn of: representations that ignore the utterance are perfectly `distinct`."""
    rich = {name: rng.normal(0.5, 1, size=(40, 5)) for name in ("audio", "vision")}
    poor = {name: np.full((40, 5), 0.5) for name in ("audio", "vision")}
    assert silhouette(*side_by_side(rich)).value < 0.2
    assert silhouette(*side_by_side(poor)).value == pytest.approx(1)
    assert spread(rich["audio"]) > 0.5
    assert spread(poor["audio"]) == pytest.approx(0)


def test_side_by_side_takes_what_is_degenerate() -> None:
    clouds = {"text": np.empty((0, 4)), "audio": np.array([[np.nan], [1.0]]), "vision": np.zeros((3, 2))}
    points, names = side_by_side(clouds)
    assert points.shape == (4, 7)
    assert np.isfinite(points).all()
    assert names.tolist() == ["audio", "vision", "vision", "vision"]
    assert side_by_side({})[0].shape == (0, 0)


def test_a_sample_is_fixed_sorted_and_nested() -> None:
    large, small = sample(1000, 300), sample(1000, 100)
    assert large.tolist() == sorted(set(large.tolist()))
    assert set(small) < set(large)
    assert (sample(1000, 100, seed=1) != small).any()
    assert sample(7, 100).tolist() == list(range(7))


def test_sentiments_are_the_classes_of_acc_3() -> None:
    scores = np.array([-2.0, -0.4, 0.0, 0.4, 2.0, np.nan], dtype=np.float32)
    assert sentiments("regression", "mosei", scores).tolist() == [
        *("negative", "neutral", "neutral", "neutral", "positive", "")
    ]
    fine = np.array([-1.0, -0.2, -0.1, 0.0, 0.1, 0.2, np.nan], dtype=np.float32)
    assert sentiments("regression", "sims", fine).tolist() == [
        *("negative", "negative", "negative", "neutral", "neutral", "positive", "")
    ]
    for convention in CONVENTIONS:
        classes = sentiments("classification", convention, np.array([0, 1, 2]))
        assert classes.tolist() == ["negative", "neutral", "positive"]
    assert sentiments("regression", "mosei", np.array([])).size == 0


def measured(**values: list[float]) -> pd.DataFrame:
    """One measure by ``model_variant`` over seeds 1, 2, ..."""
    rows = []
    for name, found in values.items():
        model, variant = name.split("_")
        place = dict(zip(PLACE, ("toy", "unaligned", "regression", model), strict=True))
        for seed, value in enumerate(found, start=1):
            rows.append(place | {"variant": variant, "seed": seed, "value": value})
    note = "all points coincide"
    frame = pd.DataFrame(rows).assign(measure="modalities", of="all")
    return frame.assign(note=np.where(frame["value"].isna(), note, ""))


def test_the_interval_is_students_over_seeds() -> None:
    values = [0.1, 0.3, 0.2, 0.5, np.nan]
    (row,) = over_seeds(measured(TFN_fg=values)).to_dict("records")
    low, high = stats.t.interval(0.95, 3, np.mean(values[:4]), stats.sem(values[:4]))
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((np.mean(values[:4]), low, high))
    assert (row["seeds"], row["note"]) == (4, "all points coincide")


def test_one_seed_has_no_interval_and_none_no_mean() -> None:
    one, none = over_seeds(measured(TFN_fg=[0.4], LMF_fg=[np.nan])).to_dict("records")
    assert one["mean"] == 0.4
    assert np.isnan(one["low"])
    assert np.isnan(none["mean"])
    assert none["seeds"] == 0


def test_changes_are_paired_by_seed_and_corrected_over_models() -> None:
    tfn = [0.10, 0.30, 0.20, 0.50], [0.22, 0.37, 0.31, 0.58]
    lmf = [0.40, 0.10, 0.20, 0.30, 0.90], [0.31, 0.22, 0.14, 0.42, np.nan]
    frame = measured(TFN_original=tfn[0], TFN_fg=tfn[1], LMF_original=lmf[0], LMF_fg=lmf[1])
    rows = paired(frame.sample(frac=1, random_state=0)).set_index("model")
    p = {"TFN": stats.ttest_rel(tfn[1], tfn[0]).pvalue, "LMF": stats.ttest_rel(lmf[1][:4], lmf[0][:4]).pvalue}
    assert rows["p"].to_dict() == pytest.approx(p)
    assert rows.loc["TFN", "mean"] == pytest.approx(np.mean(tfn[1]) - np.mean(tfn[0]))
    assert rows["seeds"].to_dict() == {"TFN": 4, "LMF": 4}
    smaller, larger = sorted(p, key=lambda name: p[name])
    assert rows["holm"].to_dict() == pytest.approx({smaller: 2 * p[smaller], larger: max(p[larger], 2 * p[smaller])})
    assert set(rows["variant"]) == {"fg"}


def test_without_a_pair_there_is_no_change() -> None:
    assert paired(measured(TFN_original=[0.1, 0.2])).empty
    assert paired(measured(TFN_original=[0.1], LMF_fg=[0.2])).empty
    (row,) = paired(measured(TFN_original=[0.1], TFN_fg=[0.2])).to_dict("records")
    assert np.isnan(row["p"])
    assert row["note"] == "one pair"
