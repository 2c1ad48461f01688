"""The shipped suite of every model, task and variant, run to its end."""

from __future__ import annotations

import math

import pytest

from harness import models
from tests.cli.tools import Place, ask, check_whole


@pytest.mark.slow
def test_every_pair_of_model_and_task_in_every_variant(place: Place) -> None:
    """Table 3's 21 pairs x 4 variants: 84 records, each with finite predictions and every metric of its task."""
    answer = ask("run", "--suite", "all-models", *place.options)
    assert answer.code == 0, answer.err
    check_whole(place.store, after_the_end=True)
    found = {(r.spec.model, r.spec.task, r.spec.variant): r for r in place.store.records()}
    pairs = {(name, task) for name in models.names() for task in models.entry(name).tasks}
    assert set(found) == {(name, task, v) for name, task in pairs for v in ("original", "fg", "a", "v")}
    assert len(found) == 84
    for (name, task, _), record in found.items():
        assert record.data["epochs"] == 2
        predicted = record.predictions()
        columns = ["pred"] if task == "regression" else ["logit_0", "logit_1", "logit_2"]
        assert predicted[columns].map(math.isfinite).all(axis=None)
        assert (record.spec.text_encoder is not None) == (name in ("MISA", "Self-MM", "TETFN", "ALMT"))
        assert {"text", "audio", "vision", "fusion"} <= set(record.features()[1])
    variants = {key: r.data["costs"]["params_trainable"] for key, r in found.items()}
    for name, task in pairs:
        counts = {variants[name, task, v] for v in ("original", "fg", "a", "v")}
        assert len(counts) == 4, "each variant is another model"
